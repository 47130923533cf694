package cloud_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// TestShare: a member may do all but delete, share and give away.
func TestShare(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	alice, bob, carol := w.person(c, "alice"), w.person(c, "bob"), w.person(c, "carol")
	w.site(c, alice, "blog", cloud.Static)
	share := func(who cloud.Who, account string) error {
		_, err := c.ShareSite(ctx, who, "blog", account)
		return err
	}
	unshare := func(who cloud.Who, account string) error {
		_, err := c.UnshareSite(ctx, who, "blog", account)
		return err
	}
	set := func(who cloud.Who, pair string) error {
		_, err := c.SetSite(ctx, who, "blog", []string{pair})
		return err
	}
	for _, tc := range []struct {
		what string
		err  error
		want cloud.Kind
	}{
		{"with oneself", share(alice, "alice"), cloud.Conflict},
		{"with nobody", share(alice, "nobody-here"), cloud.NotFound},
		{"with the operator", share(alice, cloud.Operator), cloud.NotFound},
		{"a stranger shares", share(bob, "bob"), cloud.NotFound},
		{"a stranger leaves", unshare(bob, "bob"), cloud.NotFound},
		{"share", share(alice, "bob"), ""},
		{"again", share(alice, "bob"), cloud.Conflict},
		{"a member shares", share(bob, "carol"), cloud.Denied},
		{"a member gives away", set(bob, "owner=bob"), cloud.Denied},
		{"a member deletes", c.DeleteSite(ctx, bob, "blog"), cloud.Denied},
		{"a member changes", set(bob, "root=public"), ""},
		{"a member stops", c.StopSite(ctx, bob, "blog"), ""},
		{"a second member", share(operator, "carol"), ""},
		{"a member takes out another", unshare(bob, "carol"), cloud.Denied},
		{"a member leaves", unshare(carol, "carol"), ""},
		{"who is none", unshare(alice, "carol"), cloud.NotFound},
		{"given to who is none", set(alice, "owner=carol"), cloud.Invalid},
		{"given to nobody", set(alice, "owner="), cloud.Invalid},
	} {
		if cloud.KindOf(tc.err) != tc.want {
			t.Errorf("%s: %v, want %q", tc.what, tc.err, tc.want)
		}
	}
	sites, err := c.Sites(ctx, bob, false)
	if err != nil || len(sites) != 1 || !slices.Equal(sites[0].Members, []string{"bob"}) {
		t.Errorf("a member's list: %+v, %v", sites, err)
	}
	if err := unshare(alice, "bob"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Site(ctx, bob, "blog"); cloud.KindOf(err) != cloud.NotFound {
		t.Errorf("an ex-member sees it: %v", err)
	}
}

// TestHandOver: the new owner has it, the old one is a member, and the quota counts for the new one.
func TestHandOver(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	alice, bob := w.person(c, "alice"), w.person(c, "bob")
	for _, name := range []string{"a", "b"} {
		w.site(c, alice, name, cloud.Static)
		if _, err := c.ShareSite(ctx, alice, name, "bob"); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.SetAccount(ctx, operator, "bob", []string{"max_sites=1"}); err != nil {
		t.Fatal(err)
	}
	s, err := c.SetSite(ctx, alice, "a", []string{"owner=bob"})
	if err != nil || s.Owner != "bob" || !slices.Equal(s.Members, []string{"alice"}) {
		t.Errorf("handed over: %+v, %v", s, err)
	}
	if _, err := c.SetSite(ctx, alice, "b", []string{"owner=bob"}); cloud.KindOf(err) != cloud.Quota {
		t.Errorf("more than the new owner has room for: %v", err)
	}
	if err := c.DeleteSite(ctx, alice, "a"); cloud.KindOf(err) != cloud.Denied {
		t.Errorf("who gave it away deletes it: %v", err)
	}
	if err := c.DeleteSite(ctx, bob, "a"); err != nil {
		t.Errorf("the new owner does not: %v", err)
	}
}

// TestAccountDeleteEndsMemberships: who gets the name next finds nothing of it.
func TestAccountDeleteEndsMemberships(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	alice, bob := w.person(c, "alice"), w.person(c, "bob")
	for who, name := range map[string]cloud.Who{"hers": alice, "his": bob} {
		w.site(c, name, who, cloud.Static)
	}
	if _, err := c.ShareSite(ctx, alice, "hers", "bob"); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteAccount(ctx, operator, "bob"); cloud.KindOf(err) != cloud.Conflict {
		t.Fatalf("deleted with a site: %v", err)
	}
	if s, _ := c.Site(ctx, alice, "hers"); len(s.Members) != 1 {
		t.Errorf("a refused delete took a membership: %+v", s)
	}
	if err := errors.Join(c.DeleteSite(ctx, bob, "his"), c.DeleteAccount(ctx, operator, "bob")); err != nil {
		t.Fatal(err)
	}
	again := w.person(c, "bob")
	if sites, err := c.Sites(ctx, again, false); err != nil || len(sites) != 0 {
		t.Errorf("the next bob has %+v, %v", sites, err)
	}
}

// TestLeases: what a member has open ends with its membership, what others have does not.
func TestLeases(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	alice, bob := w.person(c, "alice"), w.person(c, "bob")
	w.site(c, alice, "blog", cloud.PHP)
	s, err := c.ShareSite(ctx, alice, "blog", "bob")
	if err != nil {
		t.Fatal(err)
	}
	hers, done := c.Lease(ctx, alice, cloud.SiteFiles, s)
	defer done()
	his, done := c.Lease(ctx, bob, cloud.SiteFiles, s)
	defer done()
	ended := make(chan error, 1)
	go func() {
		_, err := c.Exec(ctx, bob, "blog", cloud.Exec{Argv: []string{"sleep", "1000"}})
		ended <- err
	}()
	begun := func() (found bool) {
		_ = c.Audit(ctx, operator, cloud.EventFilter{Account: "bob"}, false, func(e cloud.Event) error {
			found = found || e.Action == cloud.SiteExecStart
			return nil
		})
		return found
	}
	soon(t, "his program runs", begun)
	if his.Err() != nil {
		t.Error("ended before its time")
	}
	if _, err := c.UnshareSite(ctx, alice, "blog", "bob"); err != nil {
		t.Fatal(err)
	}
	if his.Err() == nil || hers.Err() != nil {
		t.Errorf("his: %v, hers: %v", his.Err(), hers.Err())
	}
	select {
	case err := <-ended:
		if cloud.KindOf(err) != cloud.NotFound {
			t.Errorf("his program: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("his program runs on")
	}
	late, done := c.Lease(ctx, bob, cloud.SiteFiles, s)
	defer done()
	if late.Err() == nil {
		t.Error("a lease for who has nothing")
	}
}

// TestAs: an admin sees what a member sees, the audit names both, and nobody else may.
func TestAs(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	alice, bob, root := w.person(c, "alice"), w.person(c, "bob"), w.person(c, "root")
	if err := c.SetAccount(ctx, operator, "root", []string{"role=admin"}); err != nil {
		t.Fatal(err)
	}
	w.site(c, alice, "blog", cloud.Static)
	as, err := c.As(ctx, root, "alice")
	if err != nil {
		t.Fatal(err)
	}
	if sites, err := c.Sites(ctx, as, false); err != nil || len(sites) != 1 {
		t.Errorf("as alice: %+v, %v", sites, err)
	}
	if _, err := c.Accounts(ctx, as); cloud.KindOf(err) != cloud.Denied {
		t.Errorf("as alice, what is for admins: %v", err)
	}
	for _, name := range []string{"alice", "nobody-here", cloud.Operator, "bob"} {
		if _, err := c.As(ctx, bob, name); cloud.KindOf(err) != cloud.Denied {
			t.Errorf("a member as %q: %v", name, err)
		}
	}
	if _, err := c.As(ctx, root, "nobody-here"); cloud.KindOf(err) != cloud.NotFound {
		t.Errorf("as nobody: %v", err)
	}
	if _, err := c.As(ctx, root, cloud.Operator); cloud.KindOf(err) != cloud.Denied {
		t.Errorf("as the operator: %v", err)
	}
	forged := cloud.Who{Account: "alice", Key: bob.Key, By: "bob"}
	if _, err := c.Sites(ctx, forged, false); cloud.KindOf(err) != cloud.Denied {
		t.Errorf("a member with a Who of its own making: %v", err)
	}
	if err := c.SetAccount(ctx, operator, "root", []string{"role=member"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Sites(ctx, as, false); cloud.KindOf(err) != cloud.Denied {
		t.Errorf("an admin no more: %v", err)
	}
	if err := c.EnableAccount(ctx, operator, "bob"); err != nil { // returns once all before it is on disk
		t.Fatal(err)
	}
	var seen []string
	_ = c.Audit(ctx, operator, cloud.EventFilter{Account: "alice"}, false, func(e cloud.Event) error {
		if e.As != "" {
			seen = append(seen, e.Account+" as "+e.As+" "+string(e.Action)+" "+e.Result)
		}
		return nil
	})
	want := []string{"root as alice site.list ok", "root as alice account.list denied", "bob as alice site.list denied", "root as alice site.list denied"}
	if !slices.Equal(seen, want) {
		t.Errorf("the audit of alice: %q", seen)
	}
}
