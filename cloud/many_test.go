package cloud_test

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/provision/fake"
	"plil.net/nuage/store"
)

// slow is an engine that answers only when the test lets it.
type slow struct {
	*fake.Engine
	list chan struct{} // closed: List answers
	up   chan struct{} // closed: Up answers; before, only for the site that is let through
	let  string
}

func (s *slow) List(ctx context.Context) ([]cloud.Container, error) {
	if err := pass(ctx, s.list); err != nil {
		return nil, err
	}
	return s.Engine.List(ctx)
}

func (s *slow) Up(ctx context.Context, spec cloud.Spec) error {
	if spec.Name != s.let {
		return pass(ctx, s.up)
	}
	return s.Engine.Up(ctx, spec)
}

func pass(ctx context.Context, gate chan struct{}) error {
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestReconcileOf900SitesShutsNoDoor: with an engine that answers to nothing yet, and then starts nothing yet, people and
// visitors are served.
func TestReconcileOf900SitesShutsNoDoor(t *testing.T) {
	t.Parallel()
	const many = 900
	ctx := context.Background()
	w := newWorld(t)
	bolt, err := store.Open(filepath.Join(t.TempDir(), "nuage.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer bolt.Close()
	w.store, w.network = bolt, netip.MustParsePrefix("127.64.0.0/16")
	var sites []cloud.Site
	err = bolt.Update(ctx, func(tx cloud.Tx) error {
		for n := range many {
			a := netip.AddrFrom4([4]byte{127, 64, byte(1 + n>>8), byte(n)})
			s := cloud.Site{ID: fmt.Sprintf("%016x", n), Name: fmt.Sprintf("site%d.plil.net", n), Owner: "alice", Members: []string{}, Type: cloud.PHP, State: cloud.Running,
				Root: cloud.DocumentRoot, Group: "students", Address: a, UID: firstUID()}
			if sites = append(sites, s); tx.PutSite(s) != nil {
				return tx.PutSite(s)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	last := sites[many-1]
	if err := w.homes.Make(ctx, last, nil); err != nil {
		t.Fatal(err)
	}
	engine := &slow{Engine: w.engine, list: make(chan struct{}), up: make(chan struct{}), let: last.Name}
	c := w.openWith(nil, func(o *cloud.Options) {
		o.Engine = engine
		o.Groups[0].Network, o.Groups[0].Limits.MaxSites = w.network, 2*many
	})
	defer c.Close()
	alice := w.person(c, "alice")
	running, stop := context.WithCancel(ctx)
	var run sync.WaitGroup
	run.Go(func() { c.Run(running) })
	defer run.Wait()
	defer stop()

	served := func(when string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(ctx, time.Minute) // alone it takes less than a second
		defer cancel()
		if _, err := c.CreateSite(ctx, alice, cloud.NewSite{Name: when, Type: cloud.Static}); err != nil {
			t.Errorf("%s: a create: %v", when, err)
		}
		if all, err := c.Sites(ctx, alice, false); err != nil || len(all) < many {
			t.Errorf("%s: a list: %d, %v", when, len(all), err)
		}
		if status, err := c.Status(ctx, operator); err != nil || status.Sites[cloud.Running] < many {
			t.Errorf("%s: status: %+v, %v", when, status.Sites, err)
		}
		at, release, err := c.Hold(ctx, last.ID)
		if err != nil || at != last.Endpoint() {
			t.Errorf("%s: a visitor of the last site: %s, %v", when, at, err)
			return
		}
		release()
	}
	soon(t, "the routes are published", func() bool { return len(c.routes.hosts()) > many })
	served("unlisted")
	close(engine.list)
	served("unstarted")
	close(engine.up)
	soon(t, "all are reconciled", func() bool {
		_, release, err := c.Hold(ctx, sites[0].ID)
		if err == nil {
			release()
		}
		return err == nil
	})
}
