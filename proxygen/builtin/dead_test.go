package builtin_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
	"plil.net/nuage/proxygen/proxygentest"
)

func TestDeadContainers(t *testing.T) {
	t.Parallel()
	closed := listen(t, "127.0.0.3:0")
	closed.Close()
	resets := func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); c.Close() }
	for name, addr := range map[string]netip.AddrPort{
		"refused": netip.MustParseAddrPort(closed.Addr().String()),
		"reset":   proxygentest.Speaks(t, resets),
		"closed":  proxygentest.Speaks(t, func(c net.Conn) { c.Close() }),
		"garbage": proxygentest.Speaks(t, func(c net.Conn) { _, _ = io.WriteString(c, "hello\r\n\r\n"); c.Close() }),
		"huge header": proxygentest.Speaks(t, func(c net.Conn) {
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
	w.containerAt(proxygentest.Speaks(t, func(c net.Conn) {
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

func TestSilentContainers(t *testing.T) {
	t.Parallel()
	short := func(p *builtin.Proxy) { p.Shorten(3*time.Second, time.Minute, time.Second, time.Second) }
	hang := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

	w := newWorld(t, short)
	w.containerAt(proxygentest.Speaks(t, hang))
	w.get("http://blog.test/").want(t, 504, "has not answered for 3s")

	w = newWorld(t, short)
	w.containerAt(proxygentest.Speaks(t, func(c net.Conn) {
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
