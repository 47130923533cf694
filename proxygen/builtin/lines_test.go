package builtin_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
	"plil.net/nuage/proxygen/proxygentest"
)

// talker is a container whose connections a test speaks for: do is called with each request and its number, of all, and tells
// whether the connection goes on.
func talker(t *testing.T, do func(c net.Conn, r *http.Request, n int) bool) netip.AddrPort {
	t.Helper()
	l := listen(t, "127.0.0.4:0")
	var all sync.WaitGroup
	var requests atomic.Int32
	open := map[net.Conn]bool{}
	var mu sync.Mutex
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			all.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(in)
					if err != nil || !do(c, r, int(requests.Add(1))) {
						return
					}
				}
			})
		}
	})
	return netip.MustParseAddrPort(l.Addr().String())
}

func says(c io.Writer, body string) bool {
	_, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return err == nil
}

func wrote(c io.Writer, text string) bool {
	_, err := io.WriteString(c, text)
	return err == nil
}

// TestLineIsKept for the next request.
func TestLineIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *builtin.Proxy) { p.KeepLines(time.Hour, 2) })
	var conns sync.Map
	var many atomic.Int32
	gate := make(chan bool)
	w.containerAt(talker(t, func(c net.Conn, r *http.Request, _ int) bool {
		if _, again := conns.LoadOrStore(c.RemoteAddr().String(), true); !again {
			many.Add(1)
		}
		if r.URL.Path == "/wait" {
			<-gate
		}
		if r.Method == http.MethodHead {
			return wrote(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
		}
		return says(c, "ok")
	}))
	for range 10 {
		w.get("http://blog.test/").want(t, 200, "ok")
		w.do("HEAD", "http://blog.test/").want(t, 200, "")
	}
	if n := many.Load(); n != 1 {
		t.Errorf("20 requests took %d connections", n)
	}
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() { w.get("http://blog.test/wait").want(t, 200, "ok") })
	}
	for range 5 {
		gate <- true
	}
	all.Wait()
	if n := w.proxy.Lines(); n > 2 {
		t.Errorf("%d connections are kept, more than 2", n)
	}
}

// TestLineIsNotKeptForLong: the container has closed it by then, or will.
func TestLineIsNotKeptForLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *builtin.Proxy) { p.KeepLines(50*time.Millisecond, 2) })
	w.container(show)
	w.get("http://blog.test/").want(t, 200, "")
	eventually(t, "all connections are closed", func() bool { return w.proxy.Lines() == 0 })
}

// TestClosedLineIsReplaced where its container closed it while it was kept, or just as the next request came: that is sent
// again if nothing was answered, and only then.
func TestClosedLineIsReplaced(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first    func(net.Conn)
		second   string // is said to the second request on a connection, before it is closed
		status   int
		requests int32
	}{
		"while kept":   {func(c net.Conn) { c.Close() }, "", 200, 2},
		"by a reset":   {func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); c.Close() }, "", 200, 2},
		"just then":    {func(net.Conn) {}, "", 200, 3},
		"in an answer": {func(net.Conn) {}, "HTTP/1.1 2", 502, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var requests atomic.Int32
			w.containerAt(talker(t, func(conn net.Conn, r *http.Request, n int) bool {
				requests.Add(1)
				switch n {
				case 1:
					says(conn, "one")
					c.first(conn)
					return true
				case 2:
					if c.requests == 2 && c.status == 200 {
						return says(conn, "two")
					}
					_, _ = io.WriteString(conn, c.second)
					return false
				}
				return says(conn, "three")
			}))
			w.get("http://blog.test/").want(t, 200, "one")
			w.get("http://blog.test/").want(t, c.status, "")
			if n := requests.Load(); n != c.requests {
				t.Errorf("the container saw %d requests, want %d", n, c.requests)
			}
			eventually(t, "all released", func() bool { return w.sites.holding() == 0 })
		})
	}
}

// TestLineThatShallClose is used no more, open as it may be.
func TestLineThatShallClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, head := range []string{"HTTP/1.1 200 OK\r\nConnection: close\r\n", "HTTP/1.0 200 OK\r\n"} {
		var conns sync.Map
		w.containerAt(talker(t, func(c net.Conn, r *http.Request, _ int) bool {
			if _, again := conns.LoadOrStore(c.RemoteAddr().String(), true); again {
				t.Errorf("after %q there is another request", head)
			}
			return wrote(c, head+"Content-Length: 2\r\n\r\nok")
		}))
		for range 3 {
			w.get("http://blog.test/").want(t, 200, "ok")
		}
	}
}

// TestWhatNobodyAsked is no answer to the next request, whenever it came.
func TestWhatNobodyAsked(t *testing.T) {
	t.Parallel()
	const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	for name, c := range map[string]struct{ method, says, later string }{
		"with the answer": {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood" + poison, ""},
		"after it":        {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood", poison},
		"after a large":   {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300_000), poison},
		"with a large":    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300_000) + poison, ""},
		"after chunks":    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n", poison},
		"body of a HEAD":  {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 49\r\n\r\n" + poison, ""},
		"and later":       {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 49\r\n\r\n", poison},
		"body of a 204":   {"GET", "HTTP/1.1 204 None\r\nContent-Length: 49\r\n\r\n" + poison, ""},
		"body of a 304":   {"GET", "HTTP/1.1 304 Same\r\nContent-Length: 49\r\n\r\n", poison},
		"a bare 408":      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood", "HTTP/1.1 408 Slow\r\nContent-Length: 0\r\n\r\n"},
		"two lengths":     {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n", poison},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			said := make(chan bool)
			w.containerAt(talker(t, func(conn net.Conn, r *http.Request, n int) bool {
				if n > 1 {
					return says(conn, "next")
				}
				_, _ = io.WriteString(conn, c.says)
				if c.later != "" {
					<-said // the answer is through, and the connection kept
					_, _ = io.WriteString(conn, c.later)
				}
				close(said)
				return true
			}))
			a := w.do(c.method, "http://blog.test/")
			if a.body != "good" && a.body != "" && a.body != strings.Repeat("x", 300_000) {
				t.Errorf("the first has %.400q", a.body)
			}
			if c.later != "" {
				eventually(t, "the connection is kept", func() bool { return w.proxy.Lines() == 1 })
				said <- true
			}
			<-said
			a = w.get("http://blog.test/")
			a.want(t, 200, "next")
			w.get("http://blog.test/").want(t, 200, "next")
		})
	}
}

// TestLineIsForOneSite even if another has its address now.
func TestLineIsForOneSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var conns sync.Map
	at := talker(t, func(c net.Conn, r *http.Request, _ int) bool {
		if host, _ := conns.LoadOrStore(c.RemoteAddr().String(), r.Host); host != r.Host {
			t.Errorf("a connection for %s is used for %s", host, r.Host)
		}
		return says(c, r.Host)
	})
	w.containerAt(at)
	w.sites.containers["s3"] = at
	w.publish(
		cloud.Route{Host: "blog.test", SiteID: "s1", Site: "blog.test", Type: cloud.PHP, State: cloud.Running},
		cloud.Route{Host: "heir.test", SiteID: "s3", Site: "heir.test", Type: cloud.PHP, State: cloud.Running})
	for range 5 {
		for _, host := range []string{"blog.test", "heir.test"} {
			w.get("http://"+host+"/").want(t, 200, host)
		}
	}
}

// TestLineIsForOneRun of a container: the next is met by another.
func TestLineIsForOneRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var run atomic.Int32
	var conns sync.Map
	w.containerAt(talker(t, func(c net.Conn, _ *http.Request, _ int) bool {
		if seen, _ := conns.LoadOrStore(c.RemoteAddr().String(), run.Load()); seen != run.Load() {
			t.Errorf("a connection to run %d is used in run %d", seen, run.Load())
		}
		return says(c, "ok")
	}))
	for range 3 {
		for range 3 {
			w.get("http://blog.test/").want(t, 200, "ok")
		}
		run.Add(1)
		w.sites.mu.Lock()
		w.sites.run++
		w.sites.mu.Unlock()
	}
}

// TestLeaverTakesTheLine along: what its container says then is for nobody.
func TestLeaverTakesTheLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	arrived, answer := make(chan bool), make(chan bool)
	w.containerAt(talker(t, func(c net.Conn, r *http.Request, _ int) bool {
		if r.URL.Path == "/leaver" {
			arrived <- true
			<-answer
		}
		return says(c, r.URL.Path)
	}))
	for range 3 {
		w.get("http://blog.test/first").want(t, 200, "/first")
		ctx, leave := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, "GET", "http://blog.test/leaver", nil)
		go func() { <-arrived; leave() }()
		if res, err := w.client().Do(r); err == nil {
			res.Body.Close()
			t.Error("an answer came")
		}
		eventually(t, "released", func() bool { return w.sites.holding() == 0 })
		answer <- true
		w.get("http://blog.test/next").want(t, 200, "/next")
	}
}

// TestAnswersFindTheirRequests from a container that breaks off, closes, says too much and is asked by many at once.
func TestAnswersFindTheirRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.containerAt(talker(t, func(c net.Conn, r *http.Request, n int) bool {
		text := r.URL.Query().Get("token")
		switch rand.IntN(10) {
		case 0:
			return false
		case 1:
			says(c, text)
			return false
		case 2:
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbroken")
			return false
		case 3:
			var both strings.Builder // in one: what came a moment later, on a line in use, is told by nobody from an answer
			return says(&both, text) && says(&both, "nobody asked") && wrote(c, both.String())
		case 4:
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"+text)
			return false
		case 5:
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(text), text)
			return true
		case 6:
			_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
		}
		return says(c, text)
	}))
	client := w.client()
	var all sync.WaitGroup
	var good atomic.Int32
	for i := range 16 {
		all.Go(func() {
			for j := range 50 {
				token := fmt.Sprintf("%d-%d", i, j)
				ctx, cancel := context.WithCancel(t.Context())
				r, _ := http.NewRequestWithContext(ctx, "GET", "http://blog.test/?token="+token, nil)
				if j%10 == 9 {
					time.AfterFunc(time.Duration(rand.IntN(2000))*time.Microsecond, cancel)
				}
				res, err := client.Do(r)
				if err != nil {
					cancel()
					continue
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				cancel()
				if err == nil && res.StatusCode == 200 {
					good.Add(1)
					if string(body) != token {
						t.Errorf("%s was answered %q", token, body)
					}
				}
			}
		})
	}
	all.Wait()
	if good.Load() < 400 {
		t.Errorf("only %d answers were good", good.Load())
	}
	eventually(t, "all released", func() bool { return w.sites.holding() == 0 })
}

// TestHeaderInDrops takes too long in all, though a byte of it comes all the time.
func TestHeaderInDrops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *builtin.Proxy) { p.Shorten(time.Second, time.Minute, time.Second, time.Second) })
	w.containerAt(proxygentest.Speaks(t, func(c net.Conn) {
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nA: ")
		for tick := time.Tick(50 * time.Millisecond); err == nil; <-tick {
			_, err = c.Write([]byte("x"))
		}
	}))
	w.get("http://blog.test/").want(t, 504, "has not answered for 1s")
}

// TestBodyInDrops takes as long as it likes.
func TestBodyInDrops(t *testing.T) {
	t.Parallel()
	const text = "for longer in all than the limit on silence"
	const pause = 80 * time.Millisecond // each byte has many times that
	for name, head := range map[string]string{
		"length": fmt.Sprintf("Content-Length: %d\r\n\r\n", len(text)), "close": "\r\n", "long": fmt.Sprintf("Content-Length: %d\r\n\r\n", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(p *builtin.Proxy) { p.Shorten(3*time.Second, time.Minute, time.Second, time.Second) })
			w.containerAt(proxygentest.Speaks(t, func(c net.Conn) {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+head)
				for _, b := range []byte(text) {
					<-time.After(pause)
					_, _ = c.Write([]byte{b})
				}
				if name == "long" {
					_, _ = c.Write(make([]byte, 1<<20-len(text)))
				}
			}))
			for _, scheme := range []string{"http", "https"} {
				w.get(scheme+"://blog.test/").want(t, 200, text)
			}
		})
	}
}

// TestLargeAnswerStops in its middle, and its visitor is not told that it was whole. One that only is slow ends well.
func TestLargeAnswerStops(t *testing.T) {
	t.Parallel()
	const size, early, drops = 1 << 20, 300_000, 40 // in 4 s, which is more than the limit on silence
	for name, c := range map[string]struct {
		then func(net.Conn)
		good bool
	}{
		"silent": {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, false},
		"closed": {func(net.Conn) {}, false},
		"slow": {func(c net.Conn) {
			for i, tick := 0, time.Tick(100*time.Millisecond); i < drops; i++ {
				<-tick
				_, _ = c.Write([]byte("x"))
			}
			_, _ = c.Write(bytes.Repeat([]byte("x"), size-early-drops))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(p *builtin.Proxy) { p.Shorten(3*time.Second, time.Minute, time.Second, time.Second) })
			w.containerAt(proxygentest.Speaks(t, func(conn net.Conn) {
				_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, bytes.Repeat([]byte("x"), early))
				c.then(conn)
			}))
			for _, scheme := range []string{"http", "https"} {
				res, err := w.client().Get(scheme + "://blog.test/")
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if whole := err == nil && len(body) == size; whole != c.good || len(body) < early || bytes.Trim(body, "x") != nil {
					t.Errorf("%s: %d bytes, %v", scheme, len(body), err)
				}
			}
			eventually(t, "all released", func() bool { return w.sites.holding() == 0 })
		})
	}
}

// TestLargeAnswerIsCounted in the access log, byte by byte.
func TestLargeAnswerIsCounted(t *testing.T) {
	t.Parallel()
	var log hits
	w := newWorld(t, func(p *builtin.Proxy) { p.LogTo(&log) })
	text := strings.Repeat("0123456789", 100_000)
	w.containerAt(talker(t, func(c net.Conn, _ *http.Request, _ int) bool { return says(c, text) }))
	for _, scheme := range []string{"http", "https"} {
		if a := w.get(scheme + "://blog.test/"); a.body != text {
			t.Errorf("%s: %d other bytes", scheme, len(a.body))
		}
		if h := log.take(t, 1)[0]; h.Bytes != int64(len(text)) || h.Status != 200 {
			t.Errorf("%s: got %+v", scheme, h)
		}
	}
}

// TestEndlessHints of a container, none of which is an answer, end with the limit on headers.
func TestEndlessHints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.containerAt(proxygentest.Speaks(t, func(c net.Conn) {
		var err error
		for err == nil {
			_, err = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
		}
	}))
	w.get("http://blog.test/").want(t, 502, "")
}

// TestHeaderOfManyLines takes many times the memory that its bytes take: it ends with the limit on headers, however it was asked
// for. On a connection that is kept each answer has an allowance of its own, and no body counts.
func TestHeaderOfManyLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := strings.Repeat("\n", 10_000)
	w.containerAt(talker(t, func(c net.Conn, r *http.Request, _ int) bool {
		var lines strings.Builder
		for i := range len(r.URL.RawQuery) {
			fmt.Fprintf(&lines, "%x:\n", i)
		}
		return wrote(c, fmt.Sprintf("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", lines.String(), len(body), body))
	}))
	for _, method := range []string{"GET", "OPTIONS"} {
		for range 8 {
			w.do(method, "http://blog.test/?"+strings.Repeat("x", 400)).want(t, 200, body)
		}
		w.do(method, "http://blog.test/?"+strings.Repeat("x", 3000)).want(t, 502, "")
	}
}

// TestUnaskedSwitch of protocols is no answer.
func TestUnaskedSwitch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.containerAt(proxygentest.Speaks(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	}))
	w.get("http://blog.test/").want(t, 502, "")
}

// reversed serves the same as a world, by httputil.ReverseProxy and http.Transport.
func (w *world) reversed() (addr string) {
	w.Helper()
	s := httptest.NewServer(w.proxy.ByReverse())
	w.Cleanup(s.Close)
	return s.Listener.Addr().String()
}
