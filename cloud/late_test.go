package cloud_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"plil.net/nuage/cloud"
)

// cramped is a store that has no room for events while it is full.
type cramped struct {
	cloud.Store
	full atomic.Bool
}

type crampedTx struct{ cloud.Tx }

func (crampedTx) Append(cloud.Event) (cloud.Event, error) {
	return cloud.Event{}, errors.New("no space left on device")
}

func (c *cramped) Update(ctx context.Context, fn func(cloud.Tx) error) error {
	return c.Store.Update(ctx, func(tx cloud.Tx) error {
		if c.full.Load() {
			tx = crampedTx{tx}
		}
		return fn(tx)
	})
}

// TestAuditOfAFullDiskRegression: what was done while the disk was full is in the audit once it no longer is, in order, and
// who watches is told at once, and once.
func TestAuditOfAFullDiskRegression(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	disk := &cramped{Store: w.store}
	witness := &seen{}
	w.store = disk
	c := w.openWith(nil, func(o *cloud.Options) { o.Witness = witness })
	defer c.Close()
	add := func(name string) {
		t.Helper()
		if _, err := c.AddAccount(ctx, operator, cloud.NewAccount{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	told := func() (names []string) {
		witness.mu.Lock()
		defer witness.mu.Unlock()
		for _, e := range witness.all {
			names = append(names, e.Target)
		}
		return names
	}
	add("ada")
	disk.full.Store(true)
	add("bob")
	add("carol")
	if got := told(); len(got) != 3 {
		t.Errorf("who watches saw %q", got)
	}
	warned := func() bool {
		s, err := c.Status(ctx, operator)
		return err == nil && slices.ContainsFunc(s.Warnings, func(w string) bool { return strings.Contains(w, "no space left") })
	}
	if !warned() {
		t.Error("status does not say why the audit waits")
	}
	disk.full.Store(false)
	var kept []string
	soon(t, "the audit has them", func() bool {
		kept = nil
		if err := c.Audit(ctx, operator, cloud.EventFilter{}, false, func(e cloud.Event) error {
			if e.Action == cloud.AccountAdd {
				kept = append(kept, e.Target)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return len(kept) >= 3
	})
	if len(kept) != 3 || kept[1] != "bob" || kept[2] != "carol" {
		t.Errorf("the audit has %q", kept)
	}
	soon(t, "status is quiet again", func() bool { return !warned() })
	adds := 0
	for _, name := range told() {
		if name != "" {
			adds++
		}
	}
	if adds != 3 {
		t.Errorf("who watches saw %q", told())
	}
}

// TestLateShelves: while the disk is full, uploads drive out no change from what waits.
func TestLateShelves(t *testing.T) {
	t.Parallel()
	const most = 20
	w := newWorld(t)
	disk := &cramped{Store: w.store}
	w.store = disk
	c := w.openWith(nil, func(o *cloud.Options) { o.AuditMost = most })
	defer c.Close()
	ada := w.person(c, "ada")
	if _, err := c.CreateSite(t.Context(), ada, cloud.NewSite{Name: "blog", Type: cloud.Static}); err != nil {
		t.Fatal(err)
	}
	files, _, err := c.Files(t.Context(), ada, "blog")
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	disk.full.Store(true)
	c.NotLoggedIn(cloud.Who{Key: "SHA256:stranger"}, "root", cloud.Errorf(cloud.Denied, "nobody has this key"))
	for range 10 * most {
		files.Done(cloud.Transfer{Action: cloud.FilePut, Path: "/home/site/x"})
	}
	if _, err := c.AddAccount(t.Context(), operator, cloud.NewAccount{Name: "last"}); err != nil { // returns when all before it was tried
		t.Fatal(err)
	}
	disk.full.Store(false)
	has := map[cloud.Action]int{}
	soon(t, "the audit has what waited", func() bool {
		clear(has)
		err := c.Audit(t.Context(), operator, cloud.EventFilter{}, false, func(e cloud.Event) error { has[e.Action]++; return nil })
		return err == nil && has[cloud.AccountAdd] == 2
	})
	if has[cloud.Login] != 1 || has[cloud.FilePut] != most {
		t.Errorf("the audit has %v", has)
	}
}
