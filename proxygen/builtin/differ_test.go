package builtin_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a plain request comes to by our own way, and by httputil.ReverseProxy and http.Transport, has to be the same: for the
// container, and for its visitor.

// scripted is a container that says the same to all, and remembers what it was asked. It closes each connection then.
type scripted struct {
	mu   sync.Mutex
	says string
	seen []string
}

func (s *scripted) serve(c net.Conn, r *http.Request, _ int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, seenAs(r))
	_, _ = io.WriteString(c, s.says)
	return false
}

// seenAs is a request as text, but for what differs each time.
func seenAs(r *http.Request) string {
	r.Header.Del("X-Request-Id")
	return fmt.Sprintf("%s %s %s %s", r.Method, r.RequestURI, r.Host, inOrder(r.Header))
}

func inOrder(h http.Header) (all []string) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		all = append(all, fmt.Sprintf("%s: %q", name, h[name]))
	}
	return all
}

// heard is what a visitor gets.
type heard struct {
	status  int
	header  string
	body    string
	trailer string
	broken  bool
}

// hear sends a request to an address and reads the answer.
func hear(t testing.TB, at, method, text string) (h heard) {
	t.Helper()
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(conn, text)
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return heard{broken: true}
	}
	body, err := io.ReadAll(res.Body)
	res.Header.Del("X-Request-Id")
	if res.StatusCode >= 500 {
		body = nil // pages of ours, which the id is in
	}
	for _, name := range []string{"Date", "Trailer"} {
		res.Header.Del(name)
	}
	if res.TransferEncoding == nil && res.ContentLength == int64(len(body)) || res.TransferEncoding != nil {
		res.Header.Del("Content-Length") // one that is short may be told its length
	}
	return heard{res.StatusCode, fmt.Sprint(inOrder(res.Header)), string(body), fmt.Sprint(inOrder(res.Trailer)), err != nil}
}

// both compares the two ways.
func both(t *testing.T, w *world, s *scripted, reversed, method, text string) {
	t.Helper()
	s.mu.Lock()
	s.seen = nil
	s.mu.Unlock()
	ours, theirs := hear(t, w.plain, method, text), hear(t, reversed, method, text)
	if ours.broken && theirs.broken && (strings.HasPrefix(ours.body, theirs.body) || strings.HasPrefix(theirs.body, ours.body)) {
		ours = theirs // as much of it as came before it broke
	}
	if ours != theirs {
		t.Errorf("%q, %.200q:\n ours   %.600q\n theirs %.600q", text, s.says, fmt.Sprint(ours), fmt.Sprint(theirs))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) != 2 || s.seen[0] != s.seen[1] {
		t.Errorf("%q: the container saw %q", text, s.seen)
	}
}

func newScripted(t *testing.T) (*world, *scripted, string) {
	w, s := newWorld(t), &scripted{}
	w.containerAt(talker(t, s.serve))
	return w, s, w.reversed()
}

var oddRequests = []string{
	"GET / HTTP/1.1\r\nHost: blog.test\r\n\r\n",
	"GET /a%2Fb//c?x;y=%zz&&q=a+b#no HTTP/1.1\r\nHost: BLOG.test:80\r\n\r\n",
	"GET //other.test/x? HTTP/1.1\r\nHost: blog.test\r\n\r\n",
	"GET http://blog.test/y?z HTTP/1.1\r\nHost: ignored.test\r\n\r\n",
	"HEAD /h HTTP/1.1\r\nHost: blog.test\r\nUser-Agent: one\r\nUser-Agent: two\r\n\r\n",
	"GET / HTTP/1.0\r\nHost: blog.test\r\nUser-Agent:\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: blog.test\r\nConnection: close, X-Secret ,, X-Real-Ip\r\nX-Secret: 1\r\nX-Open: 2\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: blog.test\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nProxy-Authorization: y\r\nProxy-Authenticate: z\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: blog.test\r\nConnection: upgrade\r\nTrailer: A\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nX_Forwarded_Host: evil\r\nProxy: evil\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: blog.test\r\nCookie: a=b\r\nCookie: c=d\r\nAccept-Encoding: br\r\nRange: bytes=0-1\r\nIf-None-Match: \"x\"\r\nX-Empty:\r\nX-Spaces:   a  b  \r\n\r\n",
	"GET / HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 0\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: blog.test\r\nx-LOWER_case.odd!: \xe4\xff\r\n\r\n",
}

func TestContainersSeeTheSame(t *testing.T) {
	t.Parallel()
	w, s, reversed := newScripted(t)
	s.says = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	for _, text := range oddRequests {
		method, _, _ := strings.Cut(text, " ")
		both(t, w, s, reversed, method, text)
	}
}

var oddAnswers = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\n\r\nuntil the end",
	"HTTP/1.0 200 OK\r\n\r\nuntil the end",
	"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-T: late\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5\r\nhello\r\n0\r\nX-T: late\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 1\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"HTTP/1.1 204 None\r\n\r\n",
	"HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 304 Same\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\n",
	"HTTP/1.1 099 What\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 999 Many\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 1000 Many\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 -20 OK\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/3.9 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
	"ICY 200 OK\r\n\r\n",
	"hello\r\n\r\n",
	"",
	"HTTP/1.1 200 OK\r\nA: b",
	"HTTP/1.1 200 OK\r\nA : b\r\n\r\nx",
	"HTTP/1.1 200 OK\r\n: b\r\n\r\nx",
	"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nA: b\rX: y\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nA: b\x00c\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" +
		"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	"HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Request-Id: theirs\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 301 There\r\nLocation: http://blog.test/x\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 200 OK\r\nPragma: no-cache\r\nContent-Type: text/event-stream\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nTrailer: A\r\nContent-Length: 2\r\n\r\nok",
	"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 300<<10) + "\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("0123456789", 10_000),
	"HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n" + strings.Repeat("0123456789", 10_000),
	"HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("0123456789", 10_000),
}

func TestVisitorsHearTheSame(t *testing.T) {
	t.Parallel()
	w, s, reversed := newScripted(t)
	for _, says := range oddAnswers {
		s.says = says
		for _, method := range []string{"GET", "HEAD"} {
			both(t, w, s, reversed, method, method+" / HTTP/1.1\r\nHost: blog.test\r\n\r\n")
		}
	}
}

func FuzzAnswers(f *testing.F) {
	for _, says := range oddAnswers {
		if len(says) < 1000 {
			f.Add(says, true)
			f.Add(says, false)
		}
	}
	f.Fuzz(func(t *testing.T, says string, get bool) {
		w, s, reversed := newScripted(t)
		s.says = says
		method := "HEAD"
		if get {
			method = "GET"
		}
		both(t, w, s, reversed, method, method+" / HTTP/1.1\r\nHost: blog.test\r\n\r\n")
	})
}
