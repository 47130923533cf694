package builtin_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
)

// hits is an access log in memory.
type hits struct {
	mu  sync.Mutex
	all []cloud.Hit
}

func (h *hits) Note(site string, hit cloud.Hit) {
	h.mu.Lock()
	defer h.mu.Unlock()
	hit.Host = site + " " + hit.Host
	h.all = append(h.all, hit)
}

// take waits until there are n hits, and takes them away.
func (h *hits) take(t *testing.T, n int) (all []cloud.Hit) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d hits", n), func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.all) < n {
			return false
		}
		all, h.all = h.all, nil
		return true
	})
	if len(all) != n {
		t.Fatalf("%d hits, want %d", len(all), n)
	}
	return all
}

func TestHits(t *testing.T) {
	t.Parallel()
	var log hits
	w := newWorld(t, func(p *builtin.Proxy) { p.LogTo(&log) })
	var seen http.Header
	w.container(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		w.Header().Set("X-Request-Id", "forged")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "short and stout")
	})
	w.static(map[string]string{"big.bin": strings.Repeat("x", 1<<20)})
	w.publishBoth()

	a := w.get("https://blog.test/a%0Ab?q=%1b[2J", "User-Agent", "tester", "Referer", "http://elsewhere.test/", "X-Request-Id", "mine", "X_Request_ID", "mine")
	h := log.take(t, 1)[0]
	got := fmt.Sprint(h.Method, h.Host, h.Path, h.Proto, h.TLS, h.Status, h.Bytes, h.Agent, h.Referer, h.Client)
	if want := fmt.Sprint("GET", "s1 blog.test", "/a%0Ab?q=%1b[2J", "HTTP/2.0", true, 418, 15, "tester", "http://elsewhere.test/", "127.0.0.1"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if ids := a.Header.Values("X-Request-Id"); len(ids) != 1 || ids[0] != h.ID || len(h.ID) < 20 {
		t.Errorf("the visitor is told %q, the log %q", ids, h.ID)
	}
	if seen.Get("X-Request-Id") != h.ID || seen["X_request_id"] != nil {
		t.Errorf("the container is told %v", seen)
	}

	w.get("http://page.test/big.bin", "Range", "bytes=0-99")
	w.get("http://page.test/big.bin")
	w.do("HEAD", "http://page.test/missing", "User-Agent", strings.Repeat("a", 10_000))
	w.get("http://nobody.test/") // no site: nobody's log
	all := log.take(t, 3)
	for i, want := range []string{"s2 page.test /big.bin 206 100", "s2 page.test /big.bin 200 1048576", "s2 page.test /missing 404 0"} {
		if got := fmt.Sprint(all[i].Host, " ", all[i].Path, " ", all[i].Status, " ", all[i].Bytes); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if n := len(all[2].Agent); n > 600 {
		t.Errorf("the agent has %d bytes", n)
	}
	if all[0].ID == all[1].ID {
		t.Error("two requests have one id")
	}
}

// TestHitsOfThoseWhoLeave are noted too.
func TestHitsOfThoseWhoLeave(t *testing.T) {
	t.Parallel()
	var log hits
	w := newWorld(t, func(p *builtin.Proxy) { p.LogTo(&log) })
	arrived := make(chan bool)
	w.container(func(_ http.ResponseWriter, r *http.Request) { arrived <- true; <-r.Context().Done() })
	conn := w.raw()
	fmt.Fprint(conn, "GET /gone HTTP/1.1\r\nHost: blog.test\r\n\r\n")
	<-arrived
	conn.Close()
	if h := log.take(t, 1)[0]; h.Path != "/gone" || h.Status != 499 {
		t.Errorf("got %+v", h)
	}
}
