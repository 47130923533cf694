package proxygentest

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// Sites come up at their addresses, by id, when somebody holds them. They have no homes.
type Sites map[string]netip.AddrPort

// RunOf implements what the built-in proxy needs.
func (Sites) RunOf(string) uint64 { return 1 }

// Hold implements what the built-in proxy needs.
func (s Sites) Hold(_ context.Context, id string) (netip.AddrPort, func(), error) {
	return s[id], func() {}, nil
}

// Home implements what the built-in proxy needs.
func (s Sites) Home(string) (cloud.Home, error) {
	return nil, cloud.Errorf(cloud.NotFound, "no home here")
}

// Steady is a route that a proxy outside takes straight to its container.
func (s Sites) Steady(host, id string) cloud.Route {
	return cloud.Route{Host: host, SiteID: id, Type: cloud.PHP, State: cloud.Running, Target: s[id], Steady: true}
}

// Dozing is a route that leads by way of the built-in proxy.
func (s Sites) Dozing(host, id string) cloud.Route {
	return cloud.Route{Host: host, SiteID: id, Type: cloud.PHP, State: cloud.Asleep, Target: s[id]}
}

// Front is a proxy outside with the built-in one behind it.
type Front struct {
	Outside, Behind cloud.Publisher
	HTTP, HTTPS     string      // host:port
	Cuts            func() bool // whether it was found to cut WebSockets at each change; nil: it does not
}

// Make starts a front for sites, in front of a built-in proxy that serves the same; it takes bodies of Body bytes and has
// so much Patience. It ends with the test.
type Make func(t testing.TB, sites Sites, patience time.Duration) Front

// Suite is what every front has to do.
func Suite(t *testing.T, begin Make) {
	for name, part := range map[string]func(*testing.T, Make){
		"WebSockets": WebSockets, "HostileClients": HostileClients, "BadContainers": BadContainers, "Limits": Limits, "Leavers": Leavers,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); part(t, begin) })
	}
}

func (f Front) publish(t testing.TB, routes ...cloud.Route) {
	t.Helper()
	Check(t, f.Behind.Publish(t.Context(), routes))
	Check(t, f.Outside.Publish(t.Context(), routes))
}
