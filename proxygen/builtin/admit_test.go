package builtin_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	proxyproto "github.com/pires/go-proxyproto"

	"plil.net/nuage/proxygen/builtin"
)

// TestTooManyAtOnce: a client and a site have so many requests under way, and no more; others are not in their way.
func TestTooManyAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limit  func(*builtin.Proxy)
		status int
		says   string
		other  int // of the static site meanwhile
	}{
		"client": {func(p *builtin.Proxy) { p.Crowd(3, 100) }, 429, "the limit is 3", 429},
		"site":   {func(p *builtin.Proxy) { p.Crowd(100, 3) }, 503, "the limit is 3", 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.limit)
			arrived, gate := make(chan bool, 3), make(chan bool)
			w.container(func(http.ResponseWriter, *http.Request) { arrived <- true; <-gate })
			w.static(map[string]string{"index.html": "home"})
			w.publishBoth()
			done := make(chan int, 3)
			for range 3 {
				go func() { done <- w.get("http://blog.test/").StatusCode }()
				<-arrived
			}
			a := w.get("http://blog.test/")
			a.want(t, c.status, c.says)
			if a.Header.Get("Retry-After") == "" {
				t.Error("not told when to come again")
			}
			w.get("http://page.test/").want(t, c.other, "")
			close(gate)
			for range 3 {
				if status := <-done; status != 200 {
					t.Errorf("status %d", status)
				}
			}
			eventually(t, "room again", func() bool { return w.proxy.Crowding() == 0 })
			w.get("http://page.test/").want(t, 200, "home")
		})
	}
}

// TestConnectionsOfOneAddress are bounded, and closing one makes room.
func TestConnectionsOfOneAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *builtin.Proxy) { p.Connections(3, 100) })
	w.static(map[string]string{"index.html": "home"})
	var open []net.Conn
	for range 3 {
		open = append(open, asked(t, w))
	}
	more := w.raw()
	_, _ = io.WriteString(more, "GET / HTTP/1.1\r\nHost: page.test\r\n\r\n")
	if rest, _ := io.ReadAll(more); len(rest) != 0 {
		t.Errorf("the fourth connection gets %q", rest)
	}
	other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	conn, err := other.DialContext(t.Context(), "tcp", w.plain)
	check(t, err)
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: page.test\r\nConnection: close\r\n\r\n")
	if all := readAnswers(conn); len(all) != 1 || all[0].StatusCode != 200 {
		t.Errorf("another address gets %v", all)
	}
	open[0].Close()
	eventually(t, "room again", func() bool {
		conn, err := net.Dial("tcp", w.plain)
		if err != nil {
			return false
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: page.test\r\nConnection: close\r\n\r\n")
		return len(readAnswers(conn)) == 1
	})
}

// asked is a connection that has been answered and stays open.
func asked(t *testing.T, w *world) net.Conn {
	t.Helper()
	conn := w.raw()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: page.test\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	check(t, err)
	_, _ = io.Copy(io.Discard, res.Body)
	return conn
}

// TestConnectionsOfAll are bounded too.
func TestConnectionsOfAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *builtin.Proxy) { p.Connections(100, 2) })
	w.static(map[string]string{"index.html": "home"})
	asked(t, w)
	asked(t, w)
	more := w.raw()
	if rest, _ := io.ReadAll(more); len(rest) != 0 {
		t.Errorf("the third connection gets %q", rest)
	}
}

func TestUploadTooLarge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *builtin.Proxy) { p.MaxBody(1000) })
	w.container(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	const head = "POST / HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n"
	chunk := "3e8\r\n" + strings.Repeat("x", 1000) + "\r\n"
	for text, want := range map[string]int{
		head + "Content-Length: 1000\r\n\r\n" + strings.Repeat("x", 1000): 200,
		head + "Content-Length: 1001\r\n\r\n":                             413,
		head + "Transfer-Encoding: chunked\r\n\r\n" + chunk + "0\r\n\r\n": 200,
		head + "Transfer-Encoding: chunked\r\n\r\n" + chunk + chunk:       413,
	} {
		all := w.exchangeRaw(text)
		if len(all) != 1 || all[0].StatusCode != want {
			t.Errorf("%.90q: %v; want %d", text, all, want)
		} else if want == 413 && !strings.Contains(all[0].body, "1000B, which is the limit") {
			t.Errorf("says %q", all[0].body)
		}
	}
}

// TestHeadersOfAMebibyte, in both versions of HTTP.
func TestHeadersOfAMebibyte(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(func(http.ResponseWriter, *http.Request) { t.Error("it reached the container") })
	huge := strings.Repeat("a", 1<<20)
	conn := w.raw()
	go func() { _, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: blog.test\r\nX-A: "+huge+"\r\n\r\n") }()
	for _, a := range readAnswers(conn) {
		a.want(t, 431, "")
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", "https://blog.test/", nil)
	check(t, err)
	r.Header.Set("X-A", huge)
	if res, err := w.client().Do(r); err == nil {
		res.Body.Close()
		if res.StatusCode != 431 {
			t.Errorf("status %d", res.StatusCode)
		}
	}
}

// behind is a world whose proxy takes the PROXY protocol from 127.0.0.1 only.
func behind(t *testing.T) *world {
	w := newWorld(t, func(p *builtin.Proxy) { p.Trust(netip.MustParsePrefix("127.0.0.1/32")) })
	w.container(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("X-Forwarded-For"), " ", r.Header.Get("X-Real-Ip"))
	})
	return w
}

const closing = "GET / HTTP/1.1\r\nHost: blog.test\r\nConnection: close\r\n\r\n"

func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	w := behind(t)
	v2, err := proxyproto.HeaderProxyFromAddrs(2, &net.TCPAddr{IP: net.ParseIP("2001:db8::7"), Port: 1}, &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 80}).Format()
	check(t, err)
	for header, want := range map[string]string{
		"PROXY TCP4 192.0.2.7 192.0.2.1 5000 80\r\n": "192.0.2.7 192.0.2.7",
		string(v2):          "2001:db8::7 2001:db8::7",
		"PROXY UNKNOWN\r\n": "127.0.0.1 127.0.0.1",
		"":                  "127.0.0.1 127.0.0.1",
	} {
		all := w.exchangeRaw(header + closing)
		if len(all) != 1 || all[0].body != want {
			t.Errorf("%q: got %v, want %q", header, all, want)
		}
	}
	for _, header := range []string{"PROXY TCP4 nonsense\r\n", "PROXY TCP4 192.0.2.7 192.0.2.1 5000 80\r\nPROXY TCP4 192.0.2.8 192.0.2.1 5000 80\r\n"} {
		for _, a := range w.exchangeRaw(header + closing) {
			if a.StatusCode < 400 {
				t.Errorf("%q: %d %q", header, a.StatusCode, a.body)
			}
		}
	}
}

// TestProxyProtocolOfStrangers is no way to be somebody else.
func TestProxyProtocolOfStrangers(t *testing.T) {
	t.Parallel()
	w := behind(t)
	stranger := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	for header, want := range map[string]int{"PROXY TCP4 192.0.2.7 192.0.2.1 5000 80\r\n": 400, "": 200} {
		conn, err := stranger.DialContext(t.Context(), "tcp", w.plain)
		check(t, err)
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(conn, header+closing)
		all := readAnswers(conn)
		conn.Close()
		if len(all) != 1 || all[0].StatusCode != want || strings.Contains(all[0].body, "192.0.2") {
			t.Errorf("%q: %v", header, all)
		}
	}
}

// TestASilentProxy holds up nobody else.
func TestASilentProxy(t *testing.T) {
	t.Parallel()
	w := behind(t)
	for range 5 {
		_, _ = io.WriteString(w.raw(), "PRO")
	}
	w.get("http://blog.test/").want(t, 200, "127.0.0.1")
}

// TestProxyProtocolKeepsSendfile, also over the connections that are counted.
func TestProxyProtocolKeepsSendfile(t *testing.T) {
	t.Parallel()
	for _, trusted := range []bool{false, true} {
		p := builtin.New(builtin.Options{Sites: &sites{}})
		if trusted {
			p.Trust(netip.MustParsePrefix("127.0.0.1/32"))
		}
		l := p.Gated(listen(t, "127.0.0.1:0"))
		defer l.Close()
		go func() {
			if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
				_ = c.Close()
			}
		}()
		c, err := l.Accept()
		check(t, err)
		if _, ok := c.(io.ReaderFrom); !ok {
			t.Errorf("trusted %v: %T cannot be given a file", trusted, c)
		}
		c.Close()
	}
}

// TestSlowConnections, many of them, keep no visitor out, and are hung up on although each sends a byte now and then.
func TestSlowConnections(t *testing.T) {
	t.Parallel()
	const many = 500
	w := newWorld(t, func(p *builtin.Proxy) {
		p.Shorten(time.Minute, 5*time.Second, time.Second, time.Second)
		p.Connections(many+100, 2*many)
	})
	w.static(map[string]string{"index.html": "home"})
	var open []net.Conn
	for i := range many {
		conn := w.raw()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Minute)) // they are many
		if i%2 == 0 {
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: page.test\r\nX-A: ")
		}
		open = append(open, conn)
	}
	w.get("http://page.test/").want(t, 200, "home")
	w.get("https://page.test/").want(t, 200, "home")
	ended := make(chan bool, many)
	for _, conn := range open {
		go func() {
			for range 70 { // for longer than its header may take
				if _, err := io.WriteString(conn, "x"); err != nil {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			rest, err := io.ReadAll(conn)
			ended <- !strings.Contains(string(rest), " 200 ") && !isTimeout(err)
		}()
	}
	for range many {
		if !<-ended {
			t.Fatal("a slow connection is still open")
		}
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}
