package nginx_test

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"testing"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
	"plil.net/nuage/proxygen/proxygentest"
)

// asleep are sites that come up at an address when somebody holds them.
type asleep struct{ at netip.AddrPort }

func (s asleep) Hold(context.Context, string) (netip.AddrPort, func(), error) {
	return s.at, func() {}, nil
}
func (s asleep) Home(string) (cloud.Home, error) {
	return nil, cloud.Errorf(cloud.NotFound, "no home here")
}

// TestWebSocket through the real nginx: straight to a container, and by way of the built-in proxy to one that sleeps; by
// HTTP and by HTTPS; and over a change of other sites.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	echo := proxygentest.Echo(t)
	behind := builtin.New(builtin.Options{Sites: asleep{echo}, Behind: true})
	server := httptest.NewServer(behind.Handler())
	t.Cleanup(server.Close)
	p := started(t, server.Listener.Addr().String())
	routes := []cloud.Route{
		{Host: "dozing.plil.net", SiteID: "1", Type: cloud.PHP, State: cloud.Asleep, Target: echo},
		{Host: "steady.plil.net", SiteID: "2", Type: cloud.PHP, State: cloud.Running, Target: echo, Steady: true},
	}
	publish := func() {
		t.Helper()
		proxygentest.Check(t, behind.Publish(t.Context(), routes))
		proxygentest.Check(t, p.Publish(t.Context(), routes))
	}
	publish()
	var all []func()
	for _, host := range []string{"dozing.plil.net", "steady.plil.net"} {
		all = append(all, proxygentest.Talk(t, p.HTTP, "ws://"+host), proxygentest.Talk(t, p.HTTPS, "wss://"+host))
	}
	for _, say := range all {
		say()
	}
	routes = append(routes, cloud.Route{Host: "third.plil.net", SiteID: "3", Type: cloud.PHP, State: cloud.Running, Target: echo, Steady: true})
	publish()
	for _, say := range all {
		say()
	}
}

// TestHostile: what breaks the protocol reaches no container as a second request, and a connection is for its own host.
func TestHostile(t *testing.T) {
	t.Parallel()
	at, smuggled := proxygentest.Witness(t)
	behind := builtin.New(builtin.Options{Sites: asleep{at}, Behind: true})
	server := httptest.NewServer(behind.Handler())
	t.Cleanup(server.Close)
	p := started(t, server.Listener.Addr().String())
	routes := []cloud.Route{
		{Host: "dozing.plil.net", SiteID: "1", Type: cloud.PHP, State: cloud.Asleep, Target: at},
		{Host: "steady.plil.net", SiteID: "2", Type: cloud.PHP, State: cloud.Running, Target: at, Steady: true},
		{Host: "www.example.org", SiteID: "2", Type: cloud.PHP, State: cloud.Running, Target: at, Steady: true},
	}
	proxygentest.Check(t, behind.Publish(t.Context(), routes))
	proxygentest.Check(t, p.Publish(t.Context(), routes))
	for _, host := range []string{"dozing.plil.net", "steady.plil.net"} {
		proxygentest.Hostile(t, p.HTTP, host)
	}
	if n := smuggled(); n != 0 {
		t.Errorf("%d requests were smuggled", n)
	}
	proxygentest.Elsewhere(t, p.HTTPS, "steady.plil.net", "www.example.org")
	proxygentest.Elsewhere(t, p.HTTPS, "dozing.plil.net", "steady.plil.net")
}
