package proxygentest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What a front of the tests is made with.
const (
	Body      = 1 << 20
	ShortTime = 5 * time.Second // for those that wait until it is over
	LongTime  = time.Minute     // a WebSocket is silent while a change is published, on a slow machine too
)

// container is a web server.
func container(t testing.TB, answer http.HandlerFunc) netip.AddrPort {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

// Speaks is a container that reads a request's header and then does as told, until the test ends.
func Speaks(t testing.TB, do func(net.Conn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Check(t, err)
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					do(c)
				}
			})
		}
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

// BadContainers asks sites whose containers answer what is none, or nothing: their visitors are told in time, and a good site
// beside them is served as ever.
func BadContainers(t *testing.T, begin Make) {
	says := func(text string) netip.AddrPort {
		return Speaks(t, func(c net.Conn) { _, _ = io.WriteString(c, text) })
	}
	sites := Sites{
		"good":     container(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "good") }),
		"refuses":  netip.MustParseAddrPort(FreePort(t)),
		"resets":   Speaks(t, func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }),
		"closes":   Speaks(t, func(net.Conn) {}),
		"garbage":  says("hello\r\n\r\n"),
		"header":   says("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 1<<20) + "\r\n\r\n"),
		"headers":  says("HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 200_000) + "\r\n"),
		"lengths":  says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\nhello"),
		"negative": says("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"),
		"nonsense": says("HTTP/1.1 099 What\r\nContent-Length: 2\r\n\r\nok"),
		"cut":      says("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"),
		"chunks":   says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello"),
		"never":    Speaks(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }),
	}
	// What one of the proxies passes on all the same: the visitor has what the site said, and nothing else.
	may := map[string]string{
		"garbage":  "200 hello", // nginx: HTTP/0.9
		"negative": "200 hello", // nginx: no length at all
		"nonsense": "99 ok",     // nginx
		"chunks":   "200",       // Caddy ends what was broken off as if it were whole
	}
	f := begin(t, sites, ShortTime)
	publishAll(t, f, sites)
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	var all sync.WaitGroup
	defer all.Wait()
	for id := range sites {
		for _, way := range []string{"steady", "dozing"} {
			all.Go(func() {
				host := id + "-" + way + ".plil.net"
				status, body, err := askHost(t.Context(), client, f.HTTP, host)
				switch got := strings.TrimSpace(fmt.Sprint(status, " ", body)); {
				case id == "good" && (err != nil || got != "200 good"):
					t.Errorf("%s: %q, %v", host, got, err)
				case id == "good" || got == may[id]:
				case err == nil && status != http.StatusBadGateway && status != http.StatusGatewayTimeout:
					t.Errorf("%s: answers %.80q", host, got)
				case errors.Is(err, context.DeadlineExceeded):
					t.Errorf("%s: its visitor waits: %v", host, err)
				}
			})
		}
	}
	all.Wait()
	if status, body, err := askHost(t.Context(), client, f.HTTP, "good-steady.plil.net"); body != "good" {
		t.Errorf("a good site after them: %d %q, %v", status, body, err)
	}
}

// publishAll gives each site two hosts, one of each kind.
func publishAll(t testing.TB, f Front, sites Sites) {
	t.Helper()
	routes := Routes(t)[:0]
	for id := range sites {
		routes = append(routes, sites.Steady(id+"-steady.plil.net", id), sites.Dozing(id+"-dozing.plil.net", id))
	}
	f.publish(t, routes...)
}

func askHost(ctx context.Context, client *http.Client, at, host string) (status int, body string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/", nil)
	if err != nil {
		return 0, "", err
	}
	r.Host = host
	res, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// Limits sends bodies that are too large, told and not told, and asks slowly: a container has no more of a body than may be,
// and who begins a request and does not end it is sent away.
func Limits(t *testing.T, begin Make) {
	var largest atomic.Int64
	sites := Sites{"1": container(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		for old := largest.Load(); n > old && !largest.CompareAndSwap(old, n); old = largest.Load() {
		}
		if err == nil {
			fmt.Fprint(w, n)
		}
	})}
	f := begin(t, sites, ShortTime)
	const host = "limits.plil.net"
	f.publish(t, sites.Steady(host, "1"))
	for name, tc := range map[string]struct {
		size int
		told bool
	}{"told": {Body + 1, true}, "not told": {4 * Body, false}, "just right": {Body, true}} {
		var body io.Reader = bytes.NewReader(make([]byte, tc.size))
		if !tc.told {
			body = io.MultiReader(body)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+f.HTTP+"/", body)
		Check(t, err)
		r.Host = host
		res, err := (&http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err != nil { // who is not heard has its connection cut
			if tc.size <= Body {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		res.Body.Close()
		if good := res.StatusCode == http.StatusOK; good != (tc.size <= Body) {
			t.Errorf("%s: a body of %d bytes is answered %d", name, tc.size, res.StatusCode)
		}
	}
	if n := largest.Load(); n > Body {
		t.Errorf("the container was sent a body of %d bytes, more than %d", n, Body)
	}
	for what, text := range map[string]string{
		"nothing": "", "half a header": "GET / HTTP/1.1\r\nHost: " + host + "\r\nX-A: b",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", f.HTTP)
			Check(t, err)
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			_, _ = io.WriteString(conn, text)
			if rest, err := io.ReadAll(conn); err != nil || strings.HasPrefix(string(rest), "HTTP/1.1 200") {
				t.Errorf("after %s: %.40q, %v; want the connection closed", what, rest, err)
			}
		})
	}
}

// Leavers ask, and go before there is an answer: the container hears of it.
func Leavers(t *testing.T, begin Make) {
	arrived, left := make(chan bool, 1), make(chan bool, 1)
	sites := Sites{"1": container(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- true
		<-r.Context().Done()
		left <- true
	})}
	f := begin(t, sites, LongTime)
	f.publish(t, sites.Steady("steady.plil.net", "1"), sites.Dozing("dozing.plil.net", "1"))
	for _, host := range []string{"steady.plil.net", "dozing.plil.net"} {
		ctx, leave := context.WithCancel(t.Context())
		go func() { <-arrived; leave() }()
		if _, _, err := askHost(ctx, &http.Client{Transport: &http.Transport{}}, f.HTTP, host); err == nil {
			t.Errorf("%s: an answer came", host)
		}
		select {
		case <-left:
		case <-time.After(LongTime / 2): // before the proxy itself is out of patience
			t.Errorf("%s: the container still works for nobody", host)
		}
	}
}
