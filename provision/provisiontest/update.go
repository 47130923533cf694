package provisiontest

import (
	"context"
	"errors"
	"testing"

	"plil.net/nuage/cloud"
)

// updateSteps are those at which an update can be cut, in order; the last are of one whose new image does not come up.
var updateSteps = []string{"update.aside", "update.created", "update.started", "update.ready", "revert.removed", "revert.renamed"}

func yes(string) bool { return true }

// updated is a site that stands still on an image of its own, the next one of which works or does not.
func (h Harness) updated(t *testing.T, works bool) (s cloud.Spec, before, after string) {
	t.Helper()
	name, lead := h.Image(t)
	before = lead(true)
	s = h.Spec(t, "update.test.plil.net")
	s.Image = name
	Write(t, s, "www/index.html", s.ID)
	if err := h.Engine.Up(t.Context(), s); err != nil {
		t.Fatalf("up: %v (%v)", err, causeOf(err))
	}
	t.Cleanup(func() { _ = h.Engine.Remove(context.Background(), s.ID) })
	after = lead(works)
	if before == after || h.Engine.ImageID(t.Context(), name) != after {
		t.Fatalf("the name leads to %q, after %q and %q", h.Engine.ImageID(t.Context(), name), before, after)
	}
	if err := h.Engine.Down(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	return s, before, after
}

// runs wants one container of the site, on that image, which serves.
func (h Harness) runs(t *testing.T, s cloud.Spec, image string) {
	t.Helper()
	if c, ok := h.find(t, s.ID); !ok || !c.Running || c.Image != image {
		t.Errorf("listed as %+v; want it on %s", c, image)
	}
	if n := h.Containers(t, s.ID); n != 1 {
		t.Errorf("there are %d containers of it", n)
	}
	if got, err := get(t, s); err != nil || got != s.ID {
		t.Errorf("front page %q, %v", got, err)
	}
}

var updateTests = append([]test{
	{"up stays on the image of the container", func(t *testing.T, h Harness) {
		s, before, _ := h.updated(t, true)
		if err := h.Engine.Up(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		h.runs(t, s, before)
		s.Root = "public"
		Write(t, s, "public/index.html", s.ID)
		if err := h.Engine.Up(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		h.runs(t, s, before)
	}},
	{"update takes the new image of a container that stands still", func(t *testing.T, h Harness) {
		s, before, after := h.updated(t, true)
		if err := h.Engine.Up(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := h.Engine.Update(t.Context(), s, yes); err != nil {
			t.Fatal(err)
		}
		h.runs(t, s, before) // for it ran
		if err := h.Engine.Down(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		asked := ""
		no := func(image string) bool { asked = image; return false }
		if err := h.Engine.Update(t.Context(), s, no); err != nil || asked != after {
			t.Errorf("asked about %q, want %q; %v", asked, after, err)
		}
		h.runs(t, s, before)
		if err := h.Engine.Down(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		if err := h.Engine.Update(t.Context(), s, yes); err != nil {
			t.Fatal(err)
		}
		h.runs(t, s, after)
		_ = h.Engine.Down(t.Context(), s.ID)
		if err := h.Engine.Update(t.Context(), s, func(image string) bool { t.Errorf("asked about %q again", image); return true }); err != nil {
			t.Fatal(err)
		}
	}},
	{"update goes back from an image that does not come up", func(t *testing.T, h Harness) {
		for _, root := range []string{"www", "public"} { // the same container comes back, or one of the new spec
			s, before, after := h.updated(t, false)
			s.Root = root
			Write(t, s, root+"/index.html", s.ID)
			var reverted *cloud.Reverted
			if err := h.Engine.Update(t.Context(), s, yes); !errors.As(err, &reverted) || reverted.Image != after || reverted.Reason == "" {
				t.Errorf("update: %v", err)
			}
			h.runs(t, s, before)
		}
	}},
}, cutTests()...)

func cutTests() (tests []test) {
	for i, step := range updateSteps {
		works := i < 4
		tests = append(tests, test{"update cut at " + step, func(t *testing.T, h Harness) {
			s, before, after := h.cut(t, step, works)
			if c, ok := h.find(t, s.ID); !ok || c.Address != s.Address {
				t.Errorf("listed as %+v", c)
			}
			if err := h.Engine.Up(t.Context(), s); err != nil {
				t.Fatalf("up: %v (%v)", err, causeOf(err))
			}
			h.runs(t, s, before)
			if !works {
				return
			}
			_ = h.Engine.Down(t.Context(), s.ID)
			if err := h.Engine.Update(t.Context(), s, yes); err != nil {
				t.Fatal(err)
			}
			h.runs(t, s, after)
		}})
	}
	return append(tests, test{"remove after an update that was cut", func(t *testing.T, h Harness) {
		s, _, _ := h.cut(t, "update.started", true)
		if n := h.Containers(t, s.ID); n != 2 {
			t.Errorf("there are %d containers of it: the test tests nothing", n)
		}
		if err := h.Engine.Remove(t.Context(), s.ID); err != nil {
			t.Error(err)
		}
		if n := h.Containers(t, s.ID); n != 0 {
			t.Errorf("there are %d containers of it", n)
		}
	}})
}

// cut is a site whose update was cut at the step.
func (h Harness) cut(t *testing.T, step string, works bool) (s cloud.Spec, before, after string) {
	t.Helper()
	s, before, after = h.updated(t, works)
	h.Cut(s.ID, step)
	over, whole := make(chan struct{}), false
	go func() {
		defer close(over)
		_ = h.Engine.Update(t.Context(), s, yes)
		whole = true
	}()
	<-over
	if whole {
		t.Fatalf("it went on behind %s", step)
	}
	h.Cut(s.ID, "")
	return s, before, after
}
