package provisiontest

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"

	"plil.net/nuage/cloud"
)

// lines is a buffer that one goroutine fills while another looks.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var logTests = []test{
	{"logs show what was printed, and its tail", func(t *testing.T, h Harness) {
		s := h.up(t)
		h.Say(t, s.ID, "first line")
		h.Say(t, s.ID, "second line")
		eventually(t, "both lines in the log", func() bool {
			var all lines
			if err := h.Engine.Logs(t.Context(), s.ID, cloud.LogOptions{Tail: -1}, &all, &all); err != nil {
				t.Fatal(err)
			}
			return strings.Contains(all.String(), "first line\n") && strings.HasSuffix(all.String(), "second line\n")
		})
		var tail, stderr lines
		if err := h.Engine.Logs(t.Context(), s.ID, cloud.LogOptions{Tail: 1}, &tail, &stderr); err != nil {
			t.Fatal(err)
		}
		if tail.String() != "second line\n" || stderr.String() != "" {
			t.Errorf("tail %q, stderr %q", tail.String(), stderr.String())
		}
	}},
	{"logs follow until the container stops", func(t *testing.T, h Harness) {
		s := h.up(t)
		var out lines
		ended := make(chan error, 1)
		go func() {
			ended <- h.Engine.Logs(t.Context(), s.ID, cloud.LogOptions{Follow: true, Tail: 0}, &out, &out)
		}()
		eventually(t, "a line that was said while following", func() bool {
			h.Say(t, s.ID, "news")
			return strings.Contains(out.String(), "news\n")
		})
		if err := h.Engine.Down(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("follow ended with %v", err)
		}
	}},
	{"logs follow until the context ends", func(t *testing.T, h Harness) {
		s := h.up(t)
		ctx, cancel := context.WithCancel(t.Context())
		var out lines
		ended := make(chan error, 1)
		go func() {
			ended <- h.Engine.Logs(ctx, s.ID, cloud.LogOptions{Follow: true, Tail: 0}, &out, &out)
		}()
		eventually(t, "following", func() bool {
			h.Say(t, s.ID, "news")
			return strings.Contains(out.String(), "news\n")
		})
		cancel()
		wantKind(t, <-ended, cloud.Cancelled)
	}},
	{"logs of nothing are not found", func(t *testing.T, h Harness) {
		wantKind(t, h.Engine.Logs(t.Context(), "nosuchid", cloud.LogOptions{Tail: -1}, &lines{}, &lines{}), cloud.NotFound)
	}},
}
