package builtin_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"plil.net/nuage/proxygen/builtin"
)

// overQUIC lets the world's proxy speak HTTP/3 too, and returns a client that does.
func overQUIC(w *world) (client *http.Client, stop func() error) {
	w.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(w.T, err)
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.proxy.ServeQUIC(ctx, conn) }()
	stop = func() error { cancel(); defer conn.Close(); return <-ended }
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(w.ca.RootPEM())
	transport := &http3.Transport{
		TLSClientConfig:    &tls.Config{RootCAs: pool},
		DisableCompression: true,
		Dial: func(ctx context.Context, _ string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
			return quic.DialAddr(ctx, conn.LocalAddr().String(), t, q)
		},
	}
	w.Cleanup(func() { transport.Close() })
	return &http.Client{Transport: transport, Timeout: time.Minute}, stop
}

func TestHTTP3(t *testing.T) {
	t.Parallel()
	var log hits
	w := newWorld(t, func(p *builtin.Proxy) { p.LogTo(&log); p.AnnounceQUIC(4433) })
	w.container(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Method, " ", n, " ", r.Header.Get("X-Forwarded-Proto"), " ", r.Header.Get("X-Real-Ip"))
	})
	big := strings.Repeat("0123456789abcdef", 1<<16)
	w.static(map[string]string{"big.bin": big})
	w.publishBoth()
	client, stop := overQUIC(w)
	get := func(method, url string, body io.Reader) answer {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url, body)
		check(t, err)
		res, err := client.Do(r)
		check(t, err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		check(t, err)
		return answer{res, string(text)}
	}
	a := get("POST", "https://blog.test/", bytes.NewReader(make([]byte, 1<<20)))
	a.want(t, 200, "POST 1048576 https 127.0.0.1")
	a.wantHeader(t, "Alt-Svc", "")
	if a.Proto != "HTTP/3.0" {
		t.Errorf("spoken %s", a.Proto)
	}
	if a := get("GET", "https://page.test/big.bin", nil); a.body != big {
		t.Errorf("%d bytes", len(a.body))
	}
	get("GET", "https://page.test/missing", nil).want(t, 404, "")
	for _, h := range log.take(t, 3) {
		if h.Proto != "HTTP/3.0" || !h.TLS || h.Client != "127.0.0.1" {
			t.Errorf("hit %+v", h)
		}
	}
	elsewhere, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://page.test/", nil)
	check(t, err)
	elsewhere.Host = "blog.test" // over the connection for page.test
	res, err := client.Do(elsewhere)
	check(t, err)
	res.Body.Close()
	if res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("a host unlike the connection's is answered %d", res.StatusCode)
	}
	if _, err := client.Get("https://nobody.test/"); err == nil {
		t.Error("a certificate for a host that is not there")
	}
	w.get("https://page.test/big.bin").wantHeader(t, "Alt-Svc", `h3=":4433"; ma=86400`)
	w.get("http://page.test/big.bin").wantHeader(t, "Alt-Svc", "")
	client.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Errorf("ServeQUIC: %v", err)
	}
}

// TestHTTP3Drains: a request under way when the gateway stops is answered.
func TestHTTP3Drains(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	arrived, gate := make(chan bool), make(chan bool)
	w.container(func(w http.ResponseWriter, _ *http.Request) { arrived <- true; <-gate; fmt.Fprint(w, "answered") })
	client, stop := overQUIC(w)
	got := make(chan string, 1)
	go func() {
		res, err := client.Get("https://blog.test/")
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		got <- string(body)
	}()
	<-arrived
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	close(gate)
	if body := <-got; body != "answered" {
		t.Errorf("got %q", body)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestHTTP3ConnectionsAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *builtin.Proxy) { p.Connections(1, 100) })
	w.static(map[string]string{"index.html": "home"})
	client, stop := overQUIC(w)
	defer func() { _ = stop() }()
	res, err := client.Get("https://page.test/")
	check(t, err)
	res.Body.Close()
	conn := w.raw()
	if rest, _ := io.ReadAll(conn); len(rest) != 0 {
		t.Errorf("a second connection gets %q", rest)
	}
	client.CloseIdleConnections()
}
