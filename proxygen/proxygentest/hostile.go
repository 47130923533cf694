package proxygentest

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// HostileClients break the protocol: what they send reaches no container as a second request, and a connection is for its
// own host.
func HostileClients(t *testing.T, begin Make) {
	var smuggled atomic.Int64
	at := container(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/smuggled" {
			smuggled.Add(1)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprintln(w, "answered")
	})
	sites := Sites{"1": at, "2": at}
	f := begin(t, sites, LongTime)
	f.publish(t, sites.Dozing("dozing.plil.net", "1"), sites.Steady("steady.plil.net", "2"), sites.Steady("www.example.org", "2"))
	for _, host := range []string{"dozing.plil.net", "steady.plil.net"} {
		hostile(t, f.HTTP, host)
	}
	if n := smuggled.Load(); n != 0 {
		t.Errorf("%d requests were smuggled", n)
	}
	elsewhere(t, f.HTTPS, "steady.plil.net", "www.example.org")
	elsewhere(t, f.HTTPS, "dozing.plil.net", "steady.plil.net")
}

// hostile sends a proxy what breaks the protocol, for a host: nothing of it is answered well, or it is cut in one way only.
func hostile(t testing.TB, at, host string) {
	t.Helper()
	const inner = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	chunked := "Transfer-Encoding: chunked\r\n"
	for name, tc := range map[string]struct{ text, want string }{
		"bad chunks":          {"POST / HTTP/1.1\r\nHost: H\r\n" + chunked + "\r\nxyz\r\n" + inner, ""},
		"two hosts":           {"GET / HTTP/1.1\r\nHost: H\r\nHost: other.plil.net\r\n\r\n", "4"},
		"two lengths":         {"POST / HTTP/1.1\r\nHost: H\r\nContent-Length: 1\r\nContent-Length: 40\r\n\r\na" + inner, "4"},
		"unknown coding":      {"POST / HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", ""},
		"length and chunks":   {"POST / HTTP/1.1\r\nHost: H\r\nContent-Length: 4\r\n" + chunked + "\r\n26\r\n" + inner + "\r\n0\r\n\r\n", ""},
		"newline in a header": {"GET / HTTP/1.1\r\nHost: H\r\nX-A: b\rTransfer-Encoding: chunked\r\n\r\n", ""},
		"no host":             {"GET / HTTP/1.1\r\n\r\n", "4"},
		"a mebibyte":          {"GET / HTTP/1.1\r\nHost: H\r\nX-A: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", ""},
		"a tunnel":            {"CONNECT H:80 HTTP/1.1\r\nHost: H\r\n\r\n", "4"},
		"no HTTP":             {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "4"},
	} {
		conn, err := net.Dial("tcp", at)
		Check(t, err)
		_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
		_, _ = io.WriteString(conn, strings.ReplaceAll(tc.text, "Host: H\r\n", "Host: "+host+"\r\n"))
		head := make([]byte, 12)
		n, _ := io.ReadFull(conn, head)
		conn.Close()
		if status := string(head[min(n, 9):n]); tc.want != "" && n > 0 && !strings.HasPrefix(status, tc.want) {
			t.Errorf("%s: %s answers %q", name, host, head[:n])
		}
	}
}

// elsewhere asks for a host over a connection that was made for another, and wants 421; and makes one for nobody.
func elsewhere(t testing.TB, at, made, asked string) {
	t.Helper()
	for _, name := range []string{"", "nobody.invalid"} {
		if c, err := tls.Dial("tcp", at, &tls.Config{ServerName: name, InsecureSkipVerify: true}); err == nil {
			c.Close()
			t.Errorf("a handshake for %q is let through", name)
		}
	}
	c, err := tls.Dial("tcp", at, &tls.Config{ServerName: made, InsecureSkipVerify: true})
	Check(t, err)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", asked)
	if text, _ := io.ReadAll(c); !strings.HasPrefix(string(text), "HTTP/1.1 421 ") {
		t.Errorf("over a connection for %s, %s answers %.40q", made, asked, text)
	}
}
