package proxygentest

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"plil.net/nuage/cloud"
)

// WebSockets are straight to a container, and by way of the built-in proxy to one that sleeps; by HTTP and by HTTPS; and over
// a change of other sites.
func WebSockets(t *testing.T, begin Make) {
	sites := Sites{"1": container(t, Echo)}
	f := begin(t, sites, LongTime)
	routes := []cloud.Route{sites.Dozing("dozing.plil.net", "1"), sites.Steady("steady.plil.net", "1")}
	f.publish(t, routes...)
	open := func() (all []func()) {
		for _, host := range []string{"dozing.plil.net", "steady.plil.net"} {
			all = append(all, talk(t, f.HTTP, "ws://"+host), talk(t, f.HTTPS, "wss://"+host))
		}
		return all
	}
	all := open()
	for _, say := range all {
		say()
	}
	f.publish(t, append(routes, sites.Steady("third.plil.net", "1"))...)
	if f.Cuts != nil && f.Cuts() {
		t.Log("this proxy cuts WebSockets at each change, and clients open new ones")
		all = open()
	}
	for _, say := range all {
		say()
	}
}

// Echo is the web server of a container that sends back what comes by a WebSocket.
func Echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer func() { _ = c.CloseNow() }()
	c.SetReadLimit(1 << 20)
	for {
		kind, data, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, data) != nil {
			return
		}
	}
}

// talk opens a WebSocket to a host (ws://host or wss://host) at an address, and returns what says something and wants it back.
func talk(t testing.TB, at, url string) (say func()) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", at)
		},
	}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, _, err := websocket.Dial(ctx, url+"/ws", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	c.SetReadLimit(1 << 20)
	return func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, text := range []string{"hello", strings.Repeat("x", 100_000)} {
			Check(t, c.Write(ctx, websocket.MessageText, []byte(text)))
			if _, got, err := c.Read(ctx); err != nil || string(got) != text {
				t.Errorf("%s: %d bytes came back as %d: %v", url, len(text), len(got), err)
			}
		}
	}
}

// Listen listens on 127.0.0.1, below the ports that the kernel gives to connections and to who asks for any: once it is
// closed they do not take it before a program that has to start first.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	return listen(t, func() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) })
}

// FreePort is one that nobody listened at a moment ago, as host:port. The address is one of so many that no test beside
// chooses the same.
func FreePort(t testing.TB) string {
	t.Helper()
	l := listen(t, func() netip.Addr {
		return netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(250)), byte(rand.IntN(256)), byte(1 + rand.IntN(250))})
	})
	defer l.Close()
	return l.Addr().String()
}

func listen(t testing.TB, address func() netip.Addr) net.Listener {
	t.Helper()
	for range 100 {
		if l, err := net.Listen("tcp", netip.AddrPortFrom(address(), uint16(10_000+rand.IntN(20_000))).String()); err == nil {
			return l
		}
	}
	t.Fatal("no port is free")
	return nil
}

// Listens waits until somebody does at an address.
func Listens(t testing.TB, at string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", at)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nobody listens at %s: %v", at, err)
		}
	}
}
