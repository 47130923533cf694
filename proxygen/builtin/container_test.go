package builtin_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
)

// show is a container that answers with the request as it got it.
func show(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s\nHost: %s\n", r.Method, r.RequestURI, r.Host)
	_ = r.Header.Write(w)
	fmt.Fprintf(w, "\n%s", body)
}

func TestForwardsByHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(show)
	for _, url := range []string{"http://blog.test/a%2Fb/?x;y=1&z", "http://BLOG.test.:80/a%2Fb/?x;y=1&z", "https://blog.test/a%2Fb/?x;y=1&z"} {
		a := w.get(url, "Cookie", "a=b")
		a.want(t, 200, "GET /a%2Fb/?x;y=1&z\n")
		a.want(t, 200, "Cookie: a=b\r\n")
	}
	w.get("https://blog.test/").want(t, 200, "Host: blog.test\n")
	if a := w.get("https://blog.test/"); a.ProtoMajor != 2 {
		t.Errorf("HTTPS spoke %s, want HTTP/2", a.Proto)
	}
	eventually(t, "all released", func() bool { return w.sites.holding() == 0 })
	if w.sites.holds != 5 {
		t.Errorf("%d holds for 5 requests", w.sites.holds)
	}
}

func TestListensOnIPv6(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("no IPv6 on this host: %v", err) // nothing is promised of a host's network
	} else {
		l.Close()
	}
	w := newWorldOn(t, "[::1]:0")
	w.container(show)
	for _, scheme := range []string{"http", "https"} {
		a := w.get(scheme + "://blog.test/")
		a.want(t, 200, "X-Forwarded-For: ::1\r\n")
		a.want(t, 200, "X-Real-Ip: ::1\r\n")
	}
}

func TestForwardedHeadersAreOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(show)
	forged := []string{
		"X-Forwarded-For", "6.6.6.6", "X-Forwarded-Host", "evil", "X-Forwarded-Proto", "evil", "X-Forwarded-Port", "666",
		"Forwarded", "for=6.6.6.6", "X-Real-Ip", "6.6.6.6", "X_Forwarded_For", "6.6.6.6", "X_Real_Ip", "6.6.6.6",
		"Proxy", "http://6.6.6.6", "X-Forwarded-Prefix", "/666",
		"Connection", "X-Forwarded-For, X-Real-Ip",
	}
	for _, scheme := range []string{"http", "https"} {
		if scheme == "https" { // HTTP/2 has no Connection header
			forged = forged[:len(forged)-2]
		}
		lines := []string{"X-Forwarded-For: 127.0.0.1\r\n", "X-Forwarded-Host: blog.test\r\n",
			"X-Forwarded-Proto: " + scheme + "\r\n", "X-Real-Ip: 127.0.0.1\r\n"}
		a := w.get(scheme+"://blog.test/", forged...)
		for _, line := range lines {
			a.want(t, 200, line)
		}
		for _, lie := range []string{"6.6.6.6", "evil", "666"} {
			if strings.Contains(a.body, lie) {
				t.Errorf("%s: the container sees %q:\n%s", scheme, lie, a.body)
			}
		}
	}
}

func TestAnswersPassUnaltered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "" {
			t.Errorf("Accept-Encoding %q was added", got)
		}
		h := w.Header()
		h["Content-Type"] = nil
		if r.URL.Path == "/gzip" {
			h.Set("Content-Encoding", "gzip")
		}
		h.Add("Set-Cookie", "a=1")
		h.Add("Set-Cookie", "b=2")
		h.Set("Server", "Apache")
		h.Set("X-Forwarded-For", "mine")
		h.Set("Date", "Thu, 01 Jan 2026 00:00:00 GMT")
		w.WriteHeader(418)
		_, _ = io.WriteString(w, "<html>no gzip at all")
	})
	w.get("http://blog.test/gzip").wantHeader(t, "Content-Encoding", "gzip")
	a := w.get("http://blog.test/")
	a.want(t, 418, "<html>no gzip at all")
	a.wantHeader(t, "Server", "Apache")
	a.wantHeader(t, "X-Forwarded-For", "mine")
	a.wantHeader(t, "Date", "Thu, 01 Jan 2026 00:00:00 GMT")
	if got := fmt.Sprint(a.Header["Set-Cookie"]); got != "[a=1 b=2]" {
		t.Errorf("cookies %s", got)
	}
	if got, ok := a.Header["Content-Type"]; ok {
		t.Errorf("Content-Type %q was guessed", got)
	}
}

func TestDeadContainers(t *testing.T) {
	t.Parallel()
	closed := listen(t, "127.0.0.3:0")
	closed.Close()
	resets := func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); c.Close() }
	for name, addr := range map[string]string{
		"refused": closed.Addr().String(),
		"reset":   speaks(t, resets),
		"closed":  speaks(t, func(c net.Conn) { c.Close() }),
		"garbage": speaks(t, func(c net.Conn) { _, _ = io.WriteString(c, "hello\r\n\r\n"); c.Close() }),
		"huge header": speaks(t, func(c net.Conn) {
			_, _ = c.Write(append([]byte("HTTP/1.1 200 OK\r\nA: "), bytes.Repeat([]byte("x"), 1<<20)...))
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.containerAt(addr)
			a := w.get("http://blog.test/")
			a.want(t, 502, `"blog.test"`)
			a.want(t, 502, "ssh -p 2222 nuage.example site logs blog.test")
			res, err := w.client().Post("http://blog.test/", "text/plain", strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 502 {
				t.Errorf("POST: status %d", res.StatusCode)
			}
			eventually(t, "all released", func() bool { return w.sites.holding() == 0 })
		})
	}
}

// TestDialsTwice: what nobody has taken may be sent again, whatever it is; what somebody has taken may not.
func TestDialsTwice(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first  error
		dials  int32
		status int
	}{
		"refused":     {syscall.ECONNREFUSED, 2, 200},
		"unreachable": {syscall.EHOSTUNREACH, 2, 200},
		"other":       {syscall.EMFILE, 1, 502},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.container(show)
			var dials atomic.Int32
			w.proxy.ReachBy(func(ctx context.Context, at netip.AddrPort) (net.Conn, error) {
				if dials.Add(1) == 1 {
					return nil, os.NewSyscallError("connect", c.first)
				}
				return new(net.Dialer).DialContext(ctx, "tcp", at.String())
			})
			res, err := w.client().Post("http://blog.test/", "text/plain", strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != c.status || dials.Load() != c.dials || c.status == 200 && !strings.HasSuffix(string(body), "\nbody") {
				t.Errorf("status %d after %d dials: %s", res.StatusCode, dials.Load(), body)
			}
		})
	}
}

// speaks is a container that reads a request's header and then does as told.
func speaks(t *testing.T, do func(net.Conn)) (addr string) {
	t.Helper()
	l := listen(t, "127.0.0.3:0")
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
	return l.Addr().String()
}

func TestHoldRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		text   string
	}{
		{cloud.Errorf(cloud.Unavailable, "down"), 502, "site logs blog.test"},
		{cloud.Errorf(cloud.NotFound, "gone"), 404, "No site"},
		{errors.New("disk on fire"), 500, "(ref "},
	} {
		w := newWorld(t)
		w.container(show)
		w.sites.refusal = c.err
		a := w.get("http://blog.test/")
		a.want(t, c.status, c.text)
		if strings.Contains(a.body, "fire") {
			t.Errorf("the cause is shown: %s", a.body)
		}
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for state, status := range map[cloud.State]int{cloud.Stopped: 503, cloud.Failed: 502, cloud.Deleting: 503} {
		for _, kind := range []cloud.Type{cloud.PHP, cloud.Static} {
			w.publish(cloud.Route{Host: "blog.test", Site: "blog.test", SiteID: "s1", Type: kind, State: state})
			w.get("http://blog.test/").want(t, status, `"blog.test"`)
		}
	}
	if w.sites.holds != 0 {
		t.Errorf("%d holds of sites that do not run", w.sites.holds)
	}
}

func TestAbortedAnswerStaysBroken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.containerAt(speaks(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	}))
	for _, url := range []string{"http://blog.test/", "https://blog.test/"} {
		res, err := w.client().Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err == nil || string(body) != "hello" {
			t.Errorf("%s: read %q and error %v; want hello and an error", url, body, err)
		}
	}
}

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

func TestSilentContainers(t *testing.T) {
	t.Parallel()
	short := func(p *builtin.Proxy) { p.Shorten(time.Second, time.Minute, time.Second, time.Second) }
	hang := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

	w := newWorld(t, short)
	w.containerAt(speaks(t, hang))
	w.get("http://blog.test/").want(t, 504, "has not answered for 1s")

	w = newWorld(t, short)
	w.containerAt(speaks(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
		hang(c)
	}))
	res, err := w.client().Get("http://blog.test/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err == nil || string(body) != "hello" {
		t.Errorf("read %q, %v", body, err)
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

func TestPublishLosesNoRequest(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	gate := make(chan bool)
	w := newWorld(t)
	w.container(func(w http.ResponseWriter, _ *http.Request) {
		arrived.Add(1)
		<-gate
		_, _ = io.WriteString(w, "done")
	})
	client := w.client()
	var all sync.WaitGroup
	var good atomic.Int32
	for range 100 {
		all.Go(func() {
			res, err := client.Get("http://blog.test/")
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if body, _ := io.ReadAll(res.Body); string(body) == "done" {
				good.Add(1)
			}
		})
	}
	eventually(t, "100 requests under way", func() bool { return arrived.Load() == 100 })
	for i := range 50 {
		w.publish(cloud.Route{Host: fmt.Sprintf("other%d.test", i), State: cloud.Running})
	}
	close(gate)
	all.Wait()
	if good.Load() != 100 {
		t.Errorf("%d of 100 requests were answered", good.Load())
	}
	w.get("http://blog.test/").want(t, 404, "No site")
}

func TestPublishLeavesOutTheBad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	err := w.proxy.Publish(t.Context(), []cloud.Route{
		{Host: "a.test", Site: "a.test", State: cloud.Stopped}, {Host: "A.test.", Site: "thief", State: cloud.Stopped},
		{Host: "", Site: "none"}, {Host: "b.test", Site: "b.test", State: cloud.Stopped},
	})
	if err == nil || !strings.Contains(err.Error(), `"thief"`) || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("error %v", err)
	}
	w.get("http://a.test/").want(t, 503, `"a.test"`)
	w.get("http://b.test/").want(t, 503, `"b.test"`)
}

const proxied = "NUAGE_TEST_PROXIED"

// TestNoProxyOfTheEnvironment runs itself again with a proxy in the environment, as net/http reads that
// once. The container's address is no loopback one, for which net/http would not ask a proxy anyway.
func TestNoProxyOfTheEnvironment(t *testing.T) {
	t.Parallel()
	const target = "192.0.2.1:8080" // TEST-NET-1: nobody's
	if os.Getenv(proxied) == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestNoProxyOfTheEnvironment$", "-test.v")
		c.Env = append(os.Environ(), proxied+"=1", "HTTP_PROXY=http://127.0.0.9:9", "http_proxy=http://127.0.0.9:9",
			"ALL_PROXY=http://127.0.0.9:9", "HTTPS_PROXY=http://127.0.0.9:9", "NO_PROXY=", "no_proxy=")
		if out, err := c.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("dialled "+target)) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if u, err := http.ProxyFromEnvironment(&http.Request{URL: mustURL("http://" + target)}); u == nil || err != nil {
		t.Fatalf("the environment has no proxy: %v", err)
	}
	w := newWorld(t)
	w.container(show)
	backend := w.sites.containers["s1"].String()
	w.sites.containers["s1"] = netip.MustParseAddrPort(target)
	w.proxy.DialWith(func(ctx context.Context, network, addr string) (net.Conn, error) {
		t.Logf("dialled %s", addr)
		if addr != target {
			t.Errorf("dialled %s instead of the container", addr)
		}
		return (&net.Dialer{}).DialContext(ctx, network, backend)
	})
	w.get("http://blog.test/x").want(t, 200, "GET /x\n")
}
