package cloud_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"plil.net/nuage/cloud"
)

// TestSitesMoveWithTheirNetwork: a group gets another network in the config, and each of its sites an address there as
// soon as it runs, once and for good.
func TestSitesMoveWithTheirNetwork(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	alice := w.person(c, "alice")
	for _, name := range []string{"up", "halted"} {
		w.site(c, alice, name, cloud.PHP)
	}
	if err := c.StopSite(ctx, alice, "halted"); err != nil {
		t.Fatal(err)
	}
	c.Close()

	w.network = netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 71, w.network.Addr().As4()[2], 0}), 24)
	next := w.open(nil)
	defer next.Close()
	address := func(name string) netip.Addr {
		t.Helper()
		s, err := next.Site(ctx, alice, name)
		if err != nil {
			t.Fatal(err)
		}
		return s.Address
	}
	before := address("halted")
	for range 2 {
		if err := next.Reconcile(ctx); err != nil {
			t.Fatal(err)
		}
	}
	up := address("up")
	if !w.network.Contains(up) || address("halted") != before || w.network.Contains(before) {
		t.Errorf("up at %v, halted at %v, want the first in %v", up, address("halted"), w.network)
	}
	if err := next.StartSite(ctx, alice, "halted"); err != nil {
		t.Fatal(err)
	}
	if a := address("halted"); !w.network.Contains(a) || a == up {
		t.Errorf("halted is at %v once it was started", a)
	}
	for _, name := range []string{"up", "halted"} {
		s, err := next.Site(ctx, alice, name)
		if err != nil {
			t.Fatal(err)
		}
		at, release, err := next.Hold(ctx, s.ID)
		if err != nil || at.Addr() != s.Address || w.engine.Spec(s.ID).Address != s.Address {
			t.Errorf("%s is held at %v, runs at %v, and has %v; %v", name, at, w.engine.Spec(s.ID).Address, s.Address, err)
		}
		release()
	}
	status, err := next.Status(ctx, operator)
	if err != nil || len(status.Repairs) != 2 || !strings.Contains(status.Repairs[0].Text, "moved site") {
		t.Errorf("repairs %+v, %v", status.Repairs, err)
	}
}

// TestGroupGone: a group goes from the config while it has accounts.
func TestGroupGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(nil)
	alice := w.person(c, "alice")
	if err := c.SetAccount(context.Background(), operator, "alice", []string{"max_sites=3"}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	next := w.openWith(nil, func(o *cloud.Options) { o.Groups[0].Name, o.DefaultGroup = "teachers", "teachers" })
	defer next.Close()
	_, err := next.CreateSite(context.Background(), alice, cloud.NewSite{Name: "blog", Type: cloud.PHP})
	if cloud.KindOf(err) != cloud.Unavailable || !strings.Contains(err.Error(), "students") {
		t.Errorf("create: %v", err)
	}
}
