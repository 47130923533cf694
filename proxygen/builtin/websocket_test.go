package builtin_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"plil.net/nuage/proxygen/proxygentest"
)

func (w *world) dialEcho(scheme string) *websocket.Conn {
	w.Helper()
	client := w.client()
	if scheme == "wss" { // a WebSocket in HTTP/2 is another protocol (RFC 8441), which browsers use only if offered
		transport := client.Transport.(*http.Transport)
		transport.ForceAttemptHTTP2 = false
		transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
	}
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	c, _, err := websocket.Dial(ctx, scheme+"://blog.test/ws", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = c.CloseNow() })
	return c
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(proxygentest.Echo)
	for _, scheme := range []string{"ws", "wss"} {
		c := w.dialEcho(scheme)
		for _, text := range []string{"hello", strings.Repeat("x", 30000)} {
			if err := c.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if _, got, err := c.Read(t.Context()); err != nil || string(got) != text {
				t.Errorf("%s: echo of %d bytes, %v", scheme, len(got), err)
			}
		}
		if w.sites.holding() != 1 {
			t.Errorf("an open WebSocket holds the site %d times", w.sites.holding())
		}
		if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Error(err)
		}
		eventually(t, "released", func() bool { return w.sites.holding() == 0 })
	}
}

func TestServeEndsWebSockets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(proxygentest.Echo)
	c := w.dialEcho("ws")
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if w.sites.holding() != 0 {
		t.Error("Serve returned while a WebSocket was open")
	}
	if _, _, err := c.Read(t.Context()); err == nil {
		t.Error("the WebSocket still speaks")
	}
}

// TestOnlyWebSocketUpgrades keeps a client from speaking to the container without us (h2c smuggling).
func TestOnlyWebSocketUpgrades(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" || r.Header.Get("Connection") != "" {
			t.Errorf("the container is asked to upgrade to %q", r.Header.Get("Upgrade"))
		}
	})
	w.get("http://blog.test/", "Connection", "Upgrade, HTTP2-Settings", "Upgrade", "h2c", "HTTP2-Settings", "AAMAAABkAAQAAP__").want(t, 200, "")
}
