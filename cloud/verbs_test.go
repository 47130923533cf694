package cloud_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// TestWhatIsTakenIsGoneAtOnce: a session that is open holds nothing of its own.
func TestWhatIsTakenIsGoneAtOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	alice, bob := w.person(c, "alice"), w.person(c, "bob")

	if err := c.DisableAccount(ctx, operator, "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WhoAmI(ctx, alice); cloud.KindOf(err) != cloud.Denied {
		t.Errorf("a disabled account: %v", err)
	}
	if _, err := c.Authenticate(ctx, alice.Key); cloud.KindOf(err) != cloud.Denied {
		t.Errorf("a disabled account logs in: %v", err)
	}
	if _, err := c.RemoveKey(ctx, operator, "bob", bob.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Sites(ctx, bob, false); cloud.KindOf(err) != cloud.Denied {
		t.Errorf("a removed key: %v", err)
	}
	stolen := cloud.Who{Account: "bob", Key: alice.Key}
	if _, err := c.WhoAmI(ctx, stolen); cloud.KindOf(err) != cloud.Denied {
		t.Errorf("a name with somebody else's key: %v", err)
	}
	pretender := cloud.Who{Account: cloud.Operator, Key: alice.Key}
	if _, err := c.Accounts(ctx, pretender); err == nil {
		t.Error("the operator's name with another key passes")
	}
}

// TestManyCreateOneName: one of many gets a name, and nothing is left of the others.
func TestManyCreateOneName(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		kinds = map[cloud.Kind]int{}
	)
	for _, name := range []string{"alice", "bob", "carol", "dave", "eve"} {
		who := w.person(c, name)
		group.Go(func() {
			_, err := c.CreateSite(ctx, who, cloud.NewSite{Name: "blog", Type: cloud.PHP})
			mu.Lock()
			defer mu.Unlock()
			kinds[cloud.KindOf(err)]++
		})
	}
	group.Wait()
	if kinds[""] != 1 || kinds[cloud.Conflict] != 4 {
		t.Errorf("results: %v", kinds)
	}
}

// TestVerbsOnOneSiteTakeTurns mixes start, stop and delete: none of them may see the other's middle.
func TestVerbsOnOneSiteTakeTurns(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	alice := w.person(c, "alice")
	w.site(c, alice, "blog", cloud.PHP)
	var group sync.WaitGroup
	for i := range 30 {
		group.Go(func() {
			switch i % 3 {
			case 0:
				_ = c.StartSite(ctx, alice, "blog")
			case 1:
				_ = c.StopSite(ctx, alice, "blog")
			case 2:
				_ = c.Reconcile(ctx)
			}
		})
	}
	group.Wait()
	if err := c.DeleteSite(ctx, alice, "blog"); err != nil {
		t.Fatal(err)
	}
	if rests := w.rests(); rests != "" {
		t.Errorf("left: %s", rests)
	}
}

// TestAuditTellsWhoDidWhat: in order, with results, also of what was refused; and follows.
func TestAuditTellsWhoDidWhat(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	alice := w.person(c, "alice")
	alice.Address = "192.0.2.7:4242"
	_, _ = c.Accounts(ctx, alice)
	_, _ = c.CreateSite(ctx, alice, cloud.NewSite{Name: "blog", Type: cloud.Static})

	got := make(chan cloud.Event, 100)
	var following sync.WaitGroup
	following.Go(func() {
		_ = c.Audit(ctx, operator, cloud.EventFilter{Account: "alice"}, true, func(e cloud.Event) error { got <- e; return nil })
	})
	defer following.Wait()
	defer stop()
	want := func(action cloud.Action, target, result string) {
		t.Helper()
		select {
		case e := <-got:
			if e.Action != action || e.Target != target || e.Result != result || e.Account != "alice" || e.Address != alice.Address || e.Key != alice.Key {
				t.Errorf("event %+v; want %s %s %s", e, action, target, result)
			}
		case <-time.After(time.Minute):
			t.Fatalf("no event for %s", action)
		}
	}
	want(cloud.AccountList, "", "denied")
	want(cloud.SiteCreate, "blog.plil.net", "ok")
	_ = c.DeleteSite(ctx, alice, "blog")
	want(cloud.SiteDelete, "blog.plil.net", "ok")
}

func TestSetSite(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	alice := w.person(c, "alice")
	w.site(c, alice, "blog", cloud.Static)
	s, err := c.SetSite(ctx, alice, "blog", []string{"type=php", "root=www/public"})
	if err != nil || s.Type != cloud.PHP || s.Root != "www/public" || !s.Address.IsValid() {
		t.Fatalf("set: %+v, %v", s, err)
	}
	if at, release, err := c.Hold(ctx, s.ID); err != nil || at != s.Endpoint() {
		t.Errorf("hold: %v, %v", at, err)
	} else {
		release()
	}
	for _, pairs := range [][]string{{"type=cgi"}, {"root=../.."}, {"root=/etc/../.."}, {"root=.ssh"}, {"root=a b"}, {"colour=blue"}, {"type"}, {"root=ok", "type=cgi"}} {
		if _, err := c.SetSite(ctx, alice, "blog", pairs); cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("set %q: %v", pairs, err)
		}
	}
	if s, err = c.Site(ctx, alice, "blog"); err != nil || s.Root != "www/public" {
		t.Errorf("a refused set changed something: %+v, %v", s, err)
	}
	if s, err = c.SetSite(ctx, alice, "blog", []string{"type=static", "root="}); err != nil || s.Root != "www" {
		t.Errorf("back: %+v, %v", s, err)
	}
	if rests := w.rests(); rests != "record blog.plil.net running, home of blog.plil.net" {
		t.Errorf("left: %s", rests)
	}
}
