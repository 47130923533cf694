package provisiontest

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"plil.net/nuage/cloud"
)

// bare is a site of which programs need a container, and nothing else.
func (h Harness) bare(t *testing.T, name string) cloud.Spec {
	t.Helper()
	s := h.Spec(t, name+".test.plil.net")
	s.Bare, s.Image, s.Group, s.Address = true, "", cloud.Group{}, netip.Addr{}
	t.Cleanup(func() { _ = h.Engine.Remove(context.Background(), s.ID) })
	return s
}

func (h Harness) mustUp(t *testing.T, s cloud.Spec) {
	t.Helper()
	if err := h.Engine.Up(t.Context(), s); err != nil {
		t.Fatalf("up: %v (%v)", err, causeOf(err))
	}
}

var bareTests = []test{
	{"a bare one runs programs from the moment it is up", func(t *testing.T, h Harness) {
		s := h.bare(t, "bare")
		want := cloud.Container{ID: s.ID, Name: s.Name, Running: true, Image: h.Engine.ImageID(t.Context(), "")}
		for n := range 3 {
			h.mustUp(t, s)
			r := h.exec(t.Context(), s, "cat >>in && wc -l <in; test -f /run/nuage/passwd && whoami; exit 7", strings.NewReader("a line\n"))
			lines := strings.Fields(r.stdout)
			if r.err != nil || r.status != 7 || len(lines) == 0 || lines[0] != string(rune('1'+n)) || !h.OnHost && lines[len(lines)-1] != "site" {
				t.Errorf("%+v", r)
			}
			if c, ok := h.find(t, s.ID); !ok || c != want {
				t.Errorf("listed as %+v, want %+v", c, want)
			}
			if n == 1 { // the third time it starts again
				if err := h.Engine.Down(t.Context(), s.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 2 {
			if err := h.Engine.Remove(t.Context(), s.ID); err != nil {
				t.Fatal(err)
			}
		}
		if c, ok := h.find(t, s.ID); ok {
			t.Errorf("after remove: %+v", c)
		}
	}},
	{"a bare one that is up stays as it is", func(t *testing.T, h Harness) {
		s := h.bare(t, "bare-same")
		h.mustUp(t, s)
		if r := h.exec(t.Context(), s, "echo kept >/tmp/"+s.ID, nil); r.err != nil || r.status != 0 {
			t.Fatalf("%+v", r)
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if err := h.Engine.Up(t.Context(), s); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if r := h.exec(t.Context(), s, "cat /tmp/"+s.ID+"; rm /tmp/"+s.ID, nil); r.stdout != "kept\n" {
			t.Errorf("the container was replaced: %+v", r)
		}
	}},
	{"a bare one becomes a site, and back", func(t *testing.T, h Harness) {
		whole := h.up(t)
		bare := whole
		bare.Bare, bare.Image, bare.Group, bare.Address = true, "", cloud.Group{}, netip.Addr{}
		for range 2 {
			h.mustUp(t, bare)
			if got, err := get(t, whole); err == nil {
				t.Errorf("a bare one serves %q", got)
			}
			h.mustUp(t, whole)
			if got, err := get(t, whole); err != nil || got != whole.ID {
				t.Errorf("front page %q, %v", got, err)
			}
		}
		if n := h.Containers(t, whole.ID); n != 1 {
			t.Errorf("%d containers", n)
		}
	}},
	{"the end of a bare one ends its programs", func(t *testing.T, h Harness) {
		s := h.bare(t, "bare-ends")
		h.mustUp(t, s)
		job := "sleep " + seconds()
		ended := make(chan result, 1)
		go func() { ended <- h.exec(t.Context(), s, job+"; true", nil) }()
		h.running(t, s, job)
		if err := h.Engine.Remove(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		if r := <-ended; r.err == nil && r.status != 128+9 || r.err != nil && cloud.KindOf(r.err) != cloud.Unavailable {
			t.Errorf("%+v", r)
		}
	}},
	{"a bare one without its home fails", func(t *testing.T, h Harness) {
		s := h.bare(t, "bare-homeless")
		s.Home += "/nowhere"
		wantKind(t, h.Engine.Up(t.Context(), s), cloud.Unavailable)
	}},
}
