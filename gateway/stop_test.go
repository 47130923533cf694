package gateway_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

// TestStop ends the gateway under an idle connection, a program that ends in time, one that does not, a terminal, SFTP
// and a half-done login.
func TestStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{Grace: 8 * time.Second})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	idle, half := ada.dial(site), w.wire()
	client := ada.dial(site)
	short, long, terminal, sftp := w.session(client), w.session(client), w.session(client), w.session(ada.dial(site))
	terminal.ask("pty-req", payloads()["pty-req"])
	short.exec("read line; echo $line; exit 6")
	long.exec("sleep 1000")
	terminal.exec("sleep 1000")
	sftp.ask("subsystem", payloads()["subsystem"])
	w.eventually("all run", func() bool { return w.engine.running.Load() == 3 })

	stopped := make(chan error, 1)
	go func() { stopped <- w.stop() }()
	const notice = "nuage: the gateway is restarting"
	for _, s := range []*raw{short, long, sftp} {
		text := make([]byte, len(notice)+1)
		_, err := io.ReadFull(s.Stderr(), text)
		if err != nil || string(text) != notice+"\n" {
			t.Errorf("told %q %v", text, err)
		}
	}
	text := make([]byte, len(notice)+2)
	if _, err := io.ReadFull(terminal, text); err != nil || string(text) != notice+"\r\n" {
		t.Errorf("told on the terminal: %q %v", text, err)
	}
	_ = idle.Wait() // closed at once
	if _, err := half.receive(); err == nil {
		t.Error("a login goes on")
	}
	if _, _, err := client.OpenChannel("session", nil); err == nil {
		t.Error("a new session")
	}
	w.eventually("the listener is closed", func() bool {
		c, err := net.Dial("tcp", w.address)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	_, err := short.Write([]byte("in time\n"))
	w.must(err)
	if out, _ := io.ReadAll(short); string(out) != "in time\n" || short.wait() != 6 {
		t.Errorf("who ends in time: %q", out)
	}
	for _, s := range []*raw{long, terminal, sftp} {
		if got := s.wait(); got != cloud.Cancelled.Exit() {
			t.Errorf("who is cut: status %d", got)
		}
	}
	w.must(<-stopped)
	if n := w.engine.running.Load(); n != 0 {
		t.Errorf("%d programs run on", n)
	}
}

// TestStopEarly does not wait for the grace to pass once the last session has ended.
func TestStopEarly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{Grace: 10 * patience})
	ada := w.person("ada")
	s := w.session(ada.dial(ada.site("blog", cloud.PHP)))
	s.exec("read line; exit 6")
	w.eventually("it runs", func() bool { return w.engine.running.Load() == 1 })
	stopped := make(chan error, 1)
	go func() { stopped <- w.stop() }()
	_, err := io.ReadFull(s.Stderr(), make([]byte, 10))
	w.must(err)
	w.must(s.CloseWrite())
	w.must(<-stopped) // within patience
	if got := s.wait(); got != 6 {
		t.Errorf("status %d", got)
	}
}

// TestStopStuck has clients that take no output and close nothing.
func TestStopStuck(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{Grace: 50 * time.Millisecond})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	unread := w.session(ada.dial(site))
	unread.exec("cat /dev/zero")
	c := w.wire()
	w.answers(msgAuthSuccess)(c.sign("ada", ada.key.PublicKey(), ada.key))
	w.eventually("it runs", func() bool { return w.engine.running.Load() == 1 && w.gateway.Connections("ada") == 2 })
	w.must(w.stop())
	if strings.Contains(w.log.String(), "did not end") {
		t.Error("a connection stayed")
	}
}

func TestListenerBreaks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	served := make(chan error, 1)
	go func() { served <- w.gateway.Serve(context.Background(), listener) }()
	listener.Close()
	if err := <-served; err == nil {
		t.Error("Serve returned nil")
	}
}

// flakyListener has no more files now and then.
type flakyListener struct {
	net.Listener
	fail int
}

func (f *flakyListener) Accept() (net.Conn, error) {
	if f.fail--; f.fail%2 == 1 {
		return nil, &net.OpError{Op: "accept", Err: io.ErrNoProgress}
	}
	return f.Listener.Accept()
}

func TestAcceptGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.gateway.Serve(ctx, &flakyListener{listener, 6}) }()
	for range 3 {
		c, err := ssh.Dial("tcp", listener.Addr().String(), w.clientConfig("ada", ada.key))
		w.must(err)
		c.Close()
	}
	cancel()
	w.must(<-served)
	if !strings.Contains(w.log.String(), "pause") {
		t.Error("no error was logged")
	}
}
