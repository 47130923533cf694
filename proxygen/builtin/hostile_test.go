package builtin_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"plil.net/nuage/proxygen/builtin"
)

func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	w := newWorld(t)
	w.container(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		show(w, r)
	})
	const host = "Host: blog.test\r\n"
	for name, text := range map[string]string{
		"two hosts":           "GET / HTTP/1.1\r\n" + host + "Host: other.test\r\n\r\n",
		"no host":             "GET / HTTP/1.1\r\n\r\n",
		"two lengths":         "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"signed length":       "POST / HTTP/1.1\r\n" + host + "Content-Length: +1\r\n\r\na",
		"two codings":         "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"unknown coding":      "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"space before colon":  "GET / HTTP/1.1\r\n" + host + "X-A : b\r\n\r\n",
		"NUL in a header":     "GET / HTTP/1.1\r\n" + host + "X-A: b\x00c\r\n\r\n",
		"space in the path":   "GET /a b HTTP/1.1\r\n" + host + "\r\n",
		"newline in a header": "GET / HTTP/1.1\r\n" + host + "X-A: b\rContent-Length: 5\r\n\r\n",
		"coding and spaces":   "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
		"length of chunks":    "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
		"huge header":         "GET / HTTP/1.1\r\n" + host + "X-A: " + strings.Repeat("a", 80<<10) + "\r\n\r\n",
		"no path":             "GET * HTTP/1.1\r\n" + host + "\r\n",
		"a tunnel":            "CONNECT blog.test:80 HTTP/1.1\r\n" + host + "\r\n",
		"no HTTP":             "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
	} {
		conn := w.raw()
		_, _ = io.WriteString(conn, text)
		_ = conn.CloseWrite()
		for _, a := range readAnswers(conn) {
			if a.StatusCode < 400 {
				t.Errorf("%s: status %d", name, a.StatusCode)
			}
		}
	}
	if n := requests.Load(); n != 0 {
		t.Errorf("%d of them reached the container", n)
	}
}

// TestLengthAndCoding sends a request that two readers could cut differently; the container sees it cut
// once, by its chunks, and told so by one header only.
func TestLengthAndCoding(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(show)
	all := w.exchangeRaw("POST /one HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n" +
		"3\r\nabc\r\n0\r\n\r\nGET /two HTTP/1.1\r\nHost: nobody.test\r\nConnection: close\r\n\r\n")
	if len(all) != 2 {
		t.Fatalf("%d answers", len(all))
	}
	all[0].want(t, 200, "\nabc")
	if strings.Contains(all[0].body, "Content-Length") {
		t.Errorf("the container sees %s", all[0].body)
	}
	all[1].want(t, 404, "nobody.test")
}

func TestBrokenChunks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(show)
	all := w.exchangeRaw("POST / HTTP/1.1\r\nHost: blog.test\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nGET /smuggled HTTP/1.1\r\nHost: blog.test\r\n\r\n")
	if len(all) != 1 {
		t.Fatalf("%d answers", len(all))
	}
	all[0].want(t, 400, "body of the request is broken")
}

func TestAbsoluteURI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(show)
	const head = " HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n"
	for uri, want := range map[string]struct {
		status int
		text   string
	}{
		"http://other.test/":       {404, "other.test"},
		"http://blog.test/x":       {200, "GET /x\nHost: blog.test\n"},
		"http://127.0.0.1:22/":     {404, "open the site by its name"},
		"//other.test/x":           {200, "GET //other.test/x\nHost: blog.test\n"},
		"http://me@blog.test:80/y": {200, "GET /y\n"},
	} {
		for _, a := range w.exchangeRaw("GET " + uri + head) {
			a.want(t, want.status, want.text)
		}
	}
	for _, host := range []string{"", "<script>alert(1)</script>", "[::1]:80", "blog.test:80:80"} {
		for _, a := range w.exchangeRaw("GET / HTTP/1.1\r\nAccept: text/html\r\nConnection: close\r\nHost: " + host + "\r\n\r\n") {
			if a.StatusCode != 404 && a.StatusCode != 400 {
				t.Errorf("host %q: status %d", host, a.StatusCode)
			}
			if strings.Contains(a.body, "<script>") {
				t.Errorf("host %q is not escaped: %s", host, a.body)
			}
		}
	}
	for _, a := range w.exchangeRaw("GET / HTTP/1.0\r\n\r\n") {
		a.want(t, 404, "names no host")
	}
}

func TestSlowHeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *builtin.Proxy) { p.Shorten(time.Minute, 100*time.Millisecond, time.Second, time.Second) })
	w.container(show)
	conn := w.raw()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: bl")
	if rest, err := io.ReadAll(conn); err != nil || strings.Contains(string(rest), "200 OK") {
		t.Errorf("%q, %v; want the connection closed", rest, err)
	}
}

// TestHalfClosed clients are taken for gone while their answer is still to come: net/http cannot tell one
// from the other. They get no answer, and certainly no wrong one.
func TestHalfClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	conn := w.raw()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: blog.test\r\n\r\n")
	_ = conn.CloseWrite()
	if all := readAnswers(conn); len(all) != 0 {
		t.Errorf("answer %d %q", all[0].StatusCode, all[0].body)
	}
	eventually(t, "released", func() bool { return w.sites.holding() == 0 })
}

// TestPipelining answers many requests sent in one go, in their order.
func TestPipelining(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(show)
	var text strings.Builder
	for i := range 20 {
		fmt.Fprintf(&text, "POST /%d HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 3\r\n\r\nabc", i)
	}
	text.WriteString("GET /end HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n")
	all := w.exchangeRaw(text.String())
	if len(all) != 21 {
		t.Fatalf("%d answers", len(all))
	}
	for i, a := range all[:20] {
		a.want(t, 200, fmt.Sprintf("POST /%d\n", i))
	}
}

// TestAmbiguousFraming reaches the container, if it does, framed in one way that nobody can read differently.
func TestAmbiguousFraming(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(show)
	const host = "Host: blog.test\r\nConnection: close\r\n"
	for text, want := range map[string]string{
		"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding:\r\n\tchunked\r\nContent-Length: 5\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: blog.test\r\n\r\n": "\nabc",
		"POST / HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabcGET /smuggled HTTP/1.1\r\nHost: blog.test\r\n\r\n":                        "\nabc",
	} {
		all := w.exchangeRaw(text)
		if len(all) != 1 || !strings.HasSuffix(all[0].body, want) {
			t.Errorf("%.70q: %v", text, all)
			continue
		}
		if strings.Contains(all[0].body, "Content-Length") && strings.Contains(all[0].body, "Transfer-Encoding") {
			t.Errorf("the container sees %q", all[0].body)
		}
	}
}
