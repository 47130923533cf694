package fake_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/provision/fake"
	"plil.net/nuage/provision/provisiontest"
)

// maker makes specs with addresses that no other test package uses.
func maker(e *fake.Engine, second byte) provisiontest.Harness {
	var next atomic.Int32
	return provisiontest.Harness{
		Engine: e, Bulk: 8 << 20, OnHost: true,
		Spec: func(t *testing.T, name string) cloud.Spec {
			n := next.Add(1)
			s := cloud.Spec{
				ID: fmt.Sprintf("fake%d-%d-%d", second, os.Getpid(), n), Name: name, UID: os.Getuid(), Home: t.TempDir(), Root: "www",
				Address: netip.AddrFrom4([4]byte{127, 99, second, byte(n)}),
			}
			provisiontest.Write(t, s, "www/.keep", "")
			return s
		},
		Die: func(_ *testing.T, id string) { e.Die(id) },
		Say: func(_ *testing.T, id, line string) { e.Say(id, line) },
		Image: func(*testing.T) (string, func(bool) string) {
			name, n := fmt.Sprintf("image%d", next.Add(1)), 0
			return name, func(works bool) string {
				n++
				id := fmt.Sprintf("%s@%d", name, n)
				e.SetImage(name, id, works)
				return id
			}
		},
		Containers: func(_ *testing.T, id string) int { return e.Containers(id) },
		Cut:        cuts(e.SetFault),
	}
}

// cuts ends goroutines at steps of sites.
func cuts(set func(func(id, step string))) func(id, step string) {
	var at sync.Map
	set(func(id, step string) {
		if cut, _ := at.Load(id); cut == step && step != "" {
			runtime.Goexit()
		}
	})
	return func(id, step string) { at.Store(id, step) }
}

func TestFake(t *testing.T) {
	t.Parallel()
	provisiontest.Run(t, func(t *testing.T) provisiontest.Harness {
		e := fake.New()
		t.Cleanup(func() { e.Close() })
		return maker(e, 1)
	})
}

func TestFaults(t *testing.T) {
	t.Parallel()
	e := fake.New()
	defer e.Close()
	s := maker(e, 2).Spec(t, "faulty.plil.net")

	bad := cloud.Errorf(cloud.Unavailable, "bad luck")
	e.FailUp(bad)
	if err := e.Up(t.Context(), s); !errors.Is(err, bad) {
		t.Errorf("up: %v", err)
	}
	e.FailUp(nil)
	e.SlowUp(50 * time.Millisecond)
	start := time.Now()
	if err := e.Up(t.Context(), s); err != nil || time.Since(start) < 50*time.Millisecond {
		t.Errorf("up: %v after %s", err, time.Since(start))
	}
	if err := e.Up(t.Context(), s); err != nil || e.Ups(s.ID) != 1 {
		t.Errorf("up again: %v, %d starts", err, e.Ups(s.ID))
	}

	cut := make(chan error, 1)
	ready := make(chan struct{})
	go func() { cut <- e.Watch(t.Context(), func() { close(ready) }, func(string, func() bool) {}) }()
	<-ready
	e.SetDown(true)
	for what, err := range map[string]error{
		"watch": <-cut, "ping": e.Ping(t.Context()), "up": e.Up(t.Context(), s), "down": e.Down(t.Context(), s.ID),
	} {
		if cloud.KindOf(err) != cloud.Unavailable {
			t.Errorf("%s of an engine that is away: %v", what, err)
		}
	}
	r, err := http.Get("http://" + netip.AddrPortFrom(s.Address, cloud.WebPort).String())
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if got := r.Header.Get(fake.SiteHeader); got != s.Name {
		t.Errorf("%s: %q", fake.SiteHeader, got)
	}
}
