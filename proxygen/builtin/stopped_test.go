package builtin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"plil.net/nuage/cloud"
)

// dying is a container that breaks off its first answer, before a byte of it, after somebody has stopped it.
func (w *world) dying(stop func()) *atomic.Int32 {
	asked := &atomic.Int32{}
	w.container(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if asked.Add(1) == 1 {
			stop()
			panic(http.ErrAbortHandler)
		}
		fmt.Fprintf(rw, "the answer to %q", body)
	})
	return asked
}

// TestStoppedUnderARequestRegression: a container that somebody stops while it is at a request is no fault of the site. What only
// asks is asked again, of the next one; what may have changed something is not, and its sender is told.
func TestStoppedUnderARequestRegression(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, body string
		status       int
		text         string
		asked        int32
	}{
		{"GET", "", 200, `the answer to ""`, 2},
		{"POST", "", 503, "may have been done in part", 1},
		{"POST", "a=b", 503, "may have been done in part", 1},
		{"GET", "a=b", 503, "may have been done in part", 1},
	} {
		w := newWorld(t)
		asked := w.dying(w.sites.stop)
		a := w.send(c.method, c.body)
		a.want(t, c.status, c.text)
		if retry := a.Header.Get("Retry-After"); (retry != "") != (c.status == 503) || asked.Load() != c.asked {
			t.Errorf("%s %q: Retry-After %q, asked %d times", c.method, c.body, retry, asked.Load())
		}
	}
	w := newWorld(t)
	w.dying(func() {})
	w.get("http://blog.test/").want(t, 502, "down or broke off") // nobody stopped it
	eventually(t, "all released", func() bool { return w.sites.holding() == 0 })
}

// TestStoppedAndGoneRegression: what became of the site by then is what the visitor is told.
func TestStoppedAndGoneRegression(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		now    []cloud.Route
		status int
		text   string
	}{
		{nil, 404, "No site is called"},
		{[]cloud.Route{{Host: "blog.test", SiteID: "s1", Site: "blog.test", Type: cloud.PHP, State: cloud.Stopped}}, 503, "does not run at the moment"},
		{[]cloud.Route{{Host: "blog.test", SiteID: "s2", Site: "blog.test", Type: cloud.Static, State: cloud.Running, Root: "www"}}, 200, "now a file"},
	} {
		w := newWorld(t)
		w.static(map[string]string{"index.html": "now a file"})
		w.dying(func() { w.sites.stop(); w.publish(c.now...) })
		a := w.get("http://blog.test/")
		a.want(t, c.status, c.text)
		if c.status == 200 {
			a.wantHeader(t, "Content-Type", "text/html; charset=utf-8")
		}
	}
}

// TestNothingSentRegression: where the container went before anything was sent to it, also an upload goes to the next one.
func TestNothingSentRegression(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(show)
	var dialled atomic.Int32
	w.proxy.DialWith(func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dialled.Add(1) == 1 {
			w.sites.stop()
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	})
	w.send("POST", "a=b").want(t, 200, "a=b")
}

// TestNextAtTheAddress: who was on the way to a site when it was deleted does not meet the next site at its address.
func TestNextAtTheAddress(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "POST"} {
		w := newWorld(t)
		w.container(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "the site's own") })
		next := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "another's") }))
		t.Cleanup(next.Close)
		var dialled atomic.Int32
		w.proxy.DialWith(func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dialled.Add(1) == 1 {
				w.sites.stop()
				addr = next.Listener.Addr().String()
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		})
		w.send(method, "").want(t, 200, "the site's own")
	}
}

// TestStoppedEachTime: who is sent away each time is told to come again.
func TestStoppedEachTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(func(http.ResponseWriter, *http.Request) { w.sites.stop(); panic(http.ErrAbortHandler) })
	a := w.get("http://blog.test/")
	a.want(t, 503, "waking up")
	a.wantHeader(t, "Retry-After", "1")
}

// TestStoppedSinceTheTableRegression: the cloud knows of a stop before the table does.
func TestStoppedSinceTheTableRegression(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(show)
	w.sites.refusal = cloud.Errorf(cloud.Unavailable, "site is stopped").Because(cloud.ErrStopped)
	a := w.get("http://blog.test/")
	a.want(t, 503, "does not run at the moment")
	a.wantHeader(t, "Retry-After", "30")
	w.sites.refusal = cloud.Errorf(cloud.Unavailable, "it does not come up").Because(errors.New("why"))
	w.get("http://blog.test/").want(t, 502, "down or broke off")
}

// TestNoConnectionOutlivesARunRegression: what was kept open to a container is not used for the next one at its address.
func TestNoConnectionOutlivesARunRegression(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, r.RemoteAddr) })
	first, second := w.send("POST", "a").body, w.send("POST", "b").body
	w.sites.stop()
	if third := w.send("POST", "c").body; first != second || third == second {
		t.Errorf("connections from %s, %s, and after a stop from %s", first, second, third)
	}
}

func (w *world) send(method, body string) answer {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, "http://blog.test/", strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	if body == "" {
		r.Body = http.NoBody
	}
	res, err := w.client().Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.Fatal(err)
	}
	return answer{res, string(text)}
}

// TestHomeOfADeletedSiteRegression: while a home is taken away its files may be anything.
func TestHomeOfADeletedSiteRegression(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.static(map[string]string{"index.html": "hello"})
	w.proxy.KeepHomes(0)
	w.sites.opened = func() error { w.publish(); return errors.New("half of it is gone") }
	w.get("http://page.test/").want(t, 404, "No site is called")
}
