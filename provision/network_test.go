package provision_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"plil.net/nuage/cloud"
	"plil.net/nuage/provision"
	"plil.net/nuage/provision/provisiontest"
)

// at is a new site of the lab at the nth address of its group, with a page that is its name.
func (l *lab) at(t *testing.T, g cloud.Group, n byte) cloud.Spec {
	t.Helper()
	s := l.spec(t, fmt.Sprintf("at%d.plil.net", n))
	a := g.Network.Addr().As4()
	a[3] = n
	s.Group, s.Address = g, netip.AddrFrom4(a)
	provisiontest.Write(t, s, "www/index.html", s.Name)
	return s
}

// shows wants a site to answer to the gateway with its own page.
func shows(t *testing.T, s cloud.Spec) {
	t.Helper()
	one := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: provisiontest.Patience}
	resp, err := one.Get(fmt.Sprintf("http://%s:8080/", s.Address))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, _ := io.ReadAll(resp.Body); string(got) != s.Name {
		t.Errorf("%s answers %q", s.Name, got)
	}
}

// subnets are the networks of the lab, as the engine has them: "SUBNET:GATEWAY".
func (l *lab) subnets(t *testing.T) (all map[string]bool) {
	t.Helper()
	found, err := l.api.NetworkList(t.Context(), client.NetworkListOptions{Filters: client.Filters{}.Add("label", "nuage.data="+l.data)})
	if err != nil {
		t.Fatal(err)
	}
	all = map[string]bool{}
	for _, n := range found.Items {
		p, gateway := n.IPAM.Config[0].Subnet, n.IPAM.Config[0].Gateway
		all[fmt.Sprintf("%d/%d:%d", p.Addr().As4()[3], p.Bits(), gateway.As4()[3])] = true
	}
	return all
}

func wantSubnets(t *testing.T, l *lab, want ...string) {
	t.Helper()
	got := l.subnets(t)
	for _, w := range want {
		if !got[w] {
			t.Errorf("network %s is not there", w)
		}
		delete(got, w)
	}
	for extra := range got {
		t.Errorf("network %s is there", extra)
	}
}

// TestSplit: the sites of a group are in as many networks as their addresses need, made and removed with them.
func TestSplit(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.group.Split = 28
	a, b, c := l.at(t, l.group, 2), l.at(t, l.group, 3), l.at(t, l.group, 18)
	for _, s := range []cloud.Spec{a, b, c} {
		l.up(t, s)
	}
	for _, s := range []cloud.Spec{a, b, c} {
		shows(t, s)
	}
	wantSubnets(t, l, "0/28:1", "16/28:17")

	// A network stays for as long as one site has its address there, running or not.
	down := func(s cloud.Spec) {
		t.Helper()
		if err := l.Down(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(s cloud.Spec) {
		t.Helper()
		if err := l.Remove(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		l.tidy(t)
	}
	down(c)
	remove(a)
	wantSubnets(t, l, "0/28:1", "16/28:17")
	l.up(t, c)
	shows(t, c)
	remove(c)
	wantSubnets(t, l, "0/28:1")
	l.up(t, c)
	shows(t, b)
	shows(t, c)
	wantSubnets(t, l, "0/28:1", "16/28:17")

	// Those are nobody's.
	for _, n := range []byte{0, 1, 12, 15, 16, 17, 31} {
		wantUnavailable(t, l.Up(t.Context(), l.at(t, l.group, n)), "not one that group")
	}
}

// TestNetworkGone: an admin's "docker network prune" takes the networks of sites that sleep.
func TestNetworkGone(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := l.at(t, l.group, 9)
	l.up(t, s)
	if err := l.Down(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	networks, err := l.api.NetworkList(t.Context(), client.NetworkListOptions{Filters: client.Filters{}.Add("label", "nuage.data="+l.data)})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range networks.Items {
		if _, err := l.api.NetworkRemove(t.Context(), n.ID, client.NetworkRemoveOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	l.up(t, s)
	shows(t, s)
}

// TestOldNetwork: a group that was one network is cut into several, and no site is lost over it.
func TestOldNetwork(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	whole, cut := l.group, l.group
	cut.Split = 28
	a := l.at(t, whole, 2)
	l.up(t, a)
	began := l.started(t, a)

	l.Docker = l.engine(t, provision.DockerOptions{Data: l.data, Groups: []cloud.Group{cut}})
	a.Group = cut
	b, late := l.at(t, cut, 50), l.at(t, cut, 242)
	l.up(t, a)
	l.up(t, b) // joins it, for while it is there nothing else can be
	shows(t, a)
	shows(t, b)
	if l.started(t, a) != began {
		t.Error("a site that runs in the old network was started anew")
	}
	wantUnavailable(t, l.Up(t.Context(), late), "still its old one") // which the engine hands out
	wantSubnets(t, l, "0/24:1")
	l.tidy(t)
	if w := l.Warnings(); len(w) != 1 || !strings.Contains(w[0], "old network "+whole.Network.String()) {
		t.Errorf("warnings %q", w)
	}

	// None runs: as after a restart of the engine, or a night.
	for _, s := range []cloud.Spec{a, b} {
		if err := l.Down(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []cloud.Spec{b, a, late} {
		l.up(t, s)
	}
	for _, s := range []cloud.Spec{a, b, late} {
		shows(t, s)
	}
	wantSubnets(t, l, "0/28:1", "48/28:49", "240/28:241")
	if l.tidy(t); len(l.Warnings()) != 0 {
		t.Errorf("warnings %q", l.Warnings())
	}
}

// tidy is what every round of the gateway does.
func (l *lab) tidy(t *testing.T) {
	t.Helper()
	list, err := l.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.Tidy(t.Context(), list)
}

// started is when a site's container was started.
func (l *lab) started(t *testing.T, s cloud.Spec) string {
	t.Helper()
	k, err := l.api.ContainerInspect(context.Background(), "nuage-"+s.ID, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return k.Container.State.StartedAt
}

// TestNetworksStayForThoseOnTheirWay tidies, which removes what is empty, while sites come up and go.
func TestNetworksStayForThoseOnTheirWay(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.group.Split = 28
	ctx, cancel := context.WithCancel(t.Context())
	tidied := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			list, err := l.List(t.Context())
			if err != nil {
				tidied <- err
				return
			}
			l.Tidy(t.Context(), list)
		}
		tidied <- nil
	}()
	s := l.at(t, l.group, 34)
	for range 5 {
		l.up(t, s)
		shows(t, s)
		if err := l.Remove(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-tidied; err != nil {
		t.Error(err)
	}
}
