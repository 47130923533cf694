package cloud_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/home"
	"plil.net/nuage/provision"
	"plil.net/nuage/store"
)

// seen is a witness that keeps what it saw.
type seen struct {
	mu  sync.Mutex
	all []cloud.Event

	woken []time.Duration
}

func (s *seen) Saw(e cloud.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, e)
}

func (s *seen) Woke(took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.woken = append(s.woken, took)
	}
}

// TestAuditAge: events go when their time is over, the young ones stay, and the witness saw them all in order.
func TestAuditAge(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	homes, err := home.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	later := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
	witness := &seen{}
	c, err := cloud.New(cloud.Options{
		Store: store.NewMemory(), Engine: provision.None{}, Homes: homes, Publisher: &routes{}, Domain: "plil.net",
		Groups:       []cloud.Group{{Name: "students", Network: netip.MustParsePrefix("10.0.0.0/24"), Limits: cloud.Limits{MaxSites: 3}}},
		DefaultGroup: "students", OperatorKey: operator.Key, FirstUID: firstUID(), SameUID: true,
		Witness: witness, AuditKeep: 24 * time.Hour,
		Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	add := func(name string) {
		t.Helper()
		if _, err := c.AddAccount(ctx, operator, cloud.NewAccount{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	kept := func() (names []string) {
		t.Helper()
		err := c.Audit(ctx, operator, cloud.EventFilter{}, false, func(e cloud.Event) error {
			if e.Action == cloud.AccountAdd {
				names = append(names, e.Target)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	add("ada")
	later(23 * time.Hour)
	add("bob")
	if got := kept(); len(got) != 2 {
		t.Errorf("after 23 hours: %q", got)
	}
	later(time.Hour)
	add("carol")
	if got := kept(); len(got) != 2 || got[0] != "bob" {
		t.Errorf("after 24 hours: %q", got)
	}
	witness.mu.Lock()
	defer witness.mu.Unlock()
	for i, e := range witness.all {
		if e.Seq != uint64(i+1) || e.Result != "ok" {
			t.Errorf("the witness saw %+v as number %d", e, i+1)
		}
	}
}
