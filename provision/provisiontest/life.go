package provisiontest

import (
	"context"
	"errors"
	"testing"

	"plil.net/nuage/cloud"
)

var lifeTests = []test{
	{"up serves the home at its address", func(t *testing.T, h Harness) {
		s := h.up(t)
		if got, err := get(t, s); err != nil || got != s.ID {
			t.Errorf("front page %q, %v", got, err)
		}
		c, ok := h.find(t, s.ID)
		want := cloud.Container{ID: s.ID, Name: s.Name, Running: true, Address: s.Address, Image: h.Engine.ImageID(t.Context(), s.Image)}
		if !ok || c != want || c.Image == "" {
			t.Errorf("listed as %+v, want %+v", c, want)
		}
	}},
	{"up is idempotent", func(t *testing.T, h Harness) {
		s := h.up(t)
		if r := h.exec(t.Context(), s, "echo kept >/tmp/"+s.ID, nil); r.err != nil || r.status != 0 {
			t.Fatalf("%+v", r)
		}
		if err := h.Engine.Up(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if r := h.exec(t.Context(), s, "cat /tmp/"+s.ID+"; rm /tmp/"+s.ID, nil); r.stdout != "kept\n" {
			t.Errorf("the container was replaced: %+v", r)
		}
	}},
	{"up replaces what differs from the spec", func(t *testing.T, h Harness) {
		s := h.up(t)
		Write(t, s, "public/index.html", "other root")
		s.Root = "public"
		if err := h.Engine.Up(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if got, err := get(t, s); err != nil || got != "other root" {
			t.Errorf("front page %q, %v", got, err)
		}
	}},
	{"down keeps, up starts again, remove forgets", func(t *testing.T, h Harness) {
		s := h.up(t)
		for range 2 {
			if err := h.Engine.Down(t.Context(), s.ID); err != nil {
				t.Fatal(err)
			}
		}
		if c, ok := h.find(t, s.ID); !ok || c.Running || c.Address != s.Address {
			t.Errorf("after down: %+v, listed %v", c, ok)
		}
		if got, err := get(t, s); err == nil {
			t.Errorf("serves %q while down", got)
		}
		if err := h.Engine.Up(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if got, err := get(t, s); err != nil || got != s.ID {
			t.Errorf("front page %q, %v", got, err)
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
	{"tidy leaves sites as they are", func(t *testing.T, h Harness) {
		s := h.up(t)
		tidy := func() {
			t.Helper()
			list, err := h.Engine.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			h.Engine.Tidy(t.Context(), list)
		}
		tidy()
		if got, err := get(t, s); err != nil || got != s.ID {
			t.Errorf("front page %q, %v", got, err)
		}
		if err := h.Engine.Down(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		tidy()
		if err := h.Engine.Up(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if got, err := get(t, s); err != nil || got != s.ID {
			t.Errorf("front page after down and up: %q, %v", got, err)
		}
	}},
	{"what is not there is down and removed", func(t *testing.T, h Harness) {
		if err := h.Engine.Down(t.Context(), "nosuchid"); err != nil {
			t.Error(err)
		}
		if err := h.Engine.Remove(t.Context(), "nosuchid"); err != nil {
			t.Error(err)
		}
	}},
	{"up of a home that is not there fails", func(t *testing.T, h Harness) {
		s := h.Spec(t, "homeless.test.plil.net")
		s.Home += "/nowhere"
		wantKind(t, h.Engine.Up(t.Context(), s), cloud.Unavailable)
		_ = h.Engine.Remove(t.Context(), s.ID)
	}},
	{"up ends with its context", func(t *testing.T, h Harness) {
		s := h.Spec(t, "late.test.plil.net")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.Engine.Up(ctx, s); !errors.Is(err, context.Canceled) {
			t.Errorf("up: %v", err)
		}
	}},
	{"watch tells of a site that dies", func(t *testing.T, h Harness) {
		s := h.up(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ready, died, ended := make(chan struct{}), make(chan struct{}, 100), make(chan error, 1)
		go func() {
			ended <- h.Engine.Watch(ctx, func() { close(ready) }, func(id string, runs func() bool) {
				if id == s.ID && !runs() {
					died <- struct{}{}
				}
			})
		}()
		<-ready
		h.Die(t, s.ID)
		<-died
		eventually(t, "listed as stopped", func() bool { c, _ := h.find(t, s.ID); return !c.Running })
		if err := h.Engine.Up(t.Context(), s); err != nil {
			t.Errorf("up after death: %v", err)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("watch ended with %v", err)
		}
	}},
	{"watch tells of a site that starts", func(t *testing.T, h Harness) {
		s := h.up(t)
		if err := h.Engine.Down(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		started := make(chan struct{}, 100)
		ctx, cancel := context.WithCancel(t.Context())
		ready, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			_ = h.Engine.Watch(ctx, func() { close(ready) }, func(id string, runs func() bool) {
				if id == s.ID && runs() {
					started <- struct{}{}
				}
			})
		}()
		<-ready
		if err := h.Engine.Up(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		<-started
		cancel()
		<-ended
	}},
	{"watch does not tell of a stop that is mended by now", func(t *testing.T, h Harness) {
		s := h.up(t)
		ctx, cancel := context.WithCancel(t.Context())
		ready, behind, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
		told := make(chan bool, 100)
		go func() {
			defer close(ended)
			_ = h.Engine.Watch(ctx, func() { close(ready) }, func(id string, runs func() bool) {
				if id == s.ID {
					told <- runs()
					<-behind
				}
			})
		}()
		<-ready
		if err := h.Engine.Down(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		for <-told { // starts of before
			behind <- struct{}{}
		}
		for range 2 {
			if err := errors.Join(h.Engine.Up(t.Context(), s), h.Engine.Down(t.Context(), s.ID)); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.Engine.Up(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		close(behind)
		for range 5 { // start, stop, start, stop, start
			if !<-told {
				t.Error("told that it stopped, and it runs")
			}
		}
		cancel()
		<-ended
	}},
}
