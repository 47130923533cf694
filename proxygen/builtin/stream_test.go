package builtin_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"plil.net/nuage/proxygen/builtin"
)

func TestClientGoneCancels(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "https"} {
		arrived, cancelled := make(chan bool, 1), make(chan bool, 1)
		w := newWorld(t)
		w.container(func(_ http.ResponseWriter, r *http.Request) {
			arrived <- true
			<-r.Context().Done()
			cancelled <- true
		})
		ctx, cancel := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, "GET", scheme+"://blog.test/", nil)
		go func() { <-arrived; cancel() }()
		if res, err := w.client().Do(r); err == nil {
			res.Body.Close()
			t.Error("an answer came")
		}
		select {
		case <-cancelled:
		case <-time.After(time.Minute):
			t.Fatal("the container still works for nobody")
		}
		eventually(t, "released", func() bool { return w.sites.holding() == 0 })
	}
}

// TestSlowButSteady moves one byte at a time, for longer in all than the limit on silence.
func TestSlowButSteady(t *testing.T) {
	t.Parallel()
	const pause = 400 * time.Millisecond // each byte has seven times that
	w := newWorld(t, func(p *builtin.Proxy) { p.Shorten(3*time.Second, time.Minute, time.Second, time.Second) })
	w.container(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		for _, b := range body {
			<-time.After(pause)
			_, _ = w.Write([]byte{b})
			w.(http.Flusher).Flush()
		}
	})
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			in, out := io.Pipe()
			go func() {
				for _, b := range []byte("so slowly") {
					<-time.After(pause)
					_, _ = out.Write([]byte{b})
				}
				out.Close()
			}()
			res, err := w.client().Post(scheme+"://blog.test/", "text/plain", in)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if string(body) != "so slowly" || err != nil {
				t.Errorf("%q, %v", body, err)
			}
		})
	}
}

// TestPiecesArrive before the rest of an answer whose length is known.
func TestPiecesArrive(t *testing.T) {
	t.Parallel()
	read := make(chan bool)
	w := newWorld(t)
	w.container(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "2")
		w.(http.Flusher).Flush()
		for _, piece := range []string{"a", "b"} {
			select {
			case <-read:
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, piece)
			w.(http.Flusher).Flush()
		}
	})
	for _, scheme := range []string{"http", "https"} {
		res, err := w.client().Get(scheme + "://blog.test/") // returns with the header
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"a", "b"} {
			read <- true
			var got [1]byte
			if _, err := io.ReadFull(res.Body, got[:]); err != nil || string(got[:]) != want {
				t.Errorf("%s: got %q, %v", scheme, got, err)
			}
		}
		res.Body.Close()
	}
}

func TestStreamsArriveAtOnce(t *testing.T) {
	t.Parallel()
	next := make(chan bool)
	w := newWorld(t)
	w.container(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		for i := range 3 {
			<-next
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
		}
	})
	for _, scheme := range []string{"http", "https"} {
		res, err := w.client().Get(scheme + "://blog.test/") // the header arrives before any event
		if err != nil {
			t.Fatal(err)
		}
		events := bufio.NewScanner(res.Body)
		for i := range 3 {
			next <- true
			if !events.Scan() || events.Text() != fmt.Sprintf("data: %d", i) || !events.Scan() {
				t.Errorf("%s: event %d is %q, %v", scheme, i, events.Text(), events.Err())
			}
		}
		res.Body.Close()
	}
}
