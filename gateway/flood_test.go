package gateway_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

// blocked is a program that takes nothing from its mailboxes until it may.
func blocked(may <-chan struct{}, got chan<- cloud.Exec) func(context.Context, cloud.Exec) (int, error) {
	return func(ctx context.Context, x cloud.Exec) (int, error) {
		select {
		case <-may:
			got <- x
		case <-ctx.Done():
		}
		return 0, ctx.Err()
	}
}

func TestWindowChangesNobodyTakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	may, got := make(chan struct{}), make(chan cloud.Exec, 1)
	w.engine.instead = blocked(may, got)
	client := ada.dial(site)
	s := w.session(client)
	s.ask("pty-req", payloads()["pty-req"])
	s.exec("x")
	for i := range uint32(1000) {
		_, err := s.SendRequest("window-change", i%100 == 0, ssh.Marshal(struct{ C, R, W, H uint32 }{i + 1, i + 1, 0, 0}))
		w.must(err)
	}
	if s.ask("shell", nil) { // all before it has been read
		t.Error("a second program")
	}
	other := w.session(client)
	if !other.ask("env", payloads()["env"]) {
		t.Error("another channel stands still")
	}
	close(may)
	x := <-got
	if size := <-x.Resize; size != (cloud.WindowSize{Columns: 1000, Rows: 1000}) {
		t.Errorf("size %v is not the latest", size)
	}
}

func TestSignalsNobodyTakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	may, got := make(chan struct{}), make(chan cloud.Exec, 1)
	w.engine.instead = blocked(may, got)
	s := w.session(ada.dial(site))
	s.exec("x")
	for range 1000 {
		_, err := s.SendRequest("signal", false, payloads()["signal"])
		w.must(err)
	}
	if s.ask("shell", nil) {
		t.Error("a second program")
	}
	close(may)
	x := <-got
	if name := <-x.Signals; name != "TERM" || s.wait() != 0 {
		t.Errorf("signal %q", name)
	}
}

func TestManyVariables(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	s := w.session(ada.dial(ada.site("blog", cloud.PHP)))
	for i := range 10_000 {
		payload := payloads()["env"]
		if i%2 == 0 {
			payload = ssh.Marshal(struct{ Name, Value string }{"LD_PRELOAD", "/tmp/x.so"})
		}
		_, err := s.SendRequest("env", false, payload)
		w.must(err)
	}
	if s.ask("env", payloads()["env"]) {
		t.Error("one more is taken")
	}
	s.exec("true")
	if s.wait() != 0 {
		t.Error("the program fails")
	}
	const ours = 2
	if got := <-w.engine.envs; len(got) != 64+ours {
		t.Errorf("%d variables", len(got))
	}
}

func TestManyChannels(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	client := w.person("ada").dial("ada")
	var open []ssh.Channel
	for range 1000 {
		ch, reqs, err := client.OpenChannel("session", nil)
		var refusal *ssh.OpenChannelError
		switch {
		case err == nil:
			go ssh.DiscardRequests(reqs)
			open = append(open, ch)
		case errors.As(err, &refusal) && refusal.Reason == ssh.ResourceShortage:
			has(t, refusal.Message, "10 sessions")
		default:
			t.Fatal(err)
		}
	}
	if len(open) != 10 {
		t.Fatalf("%d channels, want 10", len(open))
	}
	w.must(open[3].Close())
	w.eventually("room for one more", func() bool {
		ch, reqs, err := client.OpenChannel("session", nil)
		if err == nil {
			go ssh.DiscardRequests(reqs)
			ch.Close()
		}
		return err == nil
	})
}

// TestChannelsNeverClosed runs programs and never answers the end of their channels: they still count.
func TestChannelsNeverClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	c := w.wire()
	w.answers(msgAuthSuccess)(c.sign("ada", ada.key.PublicKey(), ada.key))
	for range 10 {
		if out, err := c.run("whoami"); err != nil || !strings.Contains(out, "ada") {
			t.Fatalf("%q %v", out, err)
		}
	}
	if out, err := c.run("whoami"); err == nil {
		t.Errorf("an eleventh channel: %q", out)
	}
	client := ada.dial("ada")
	for range 30 { // who closes them may have as many as it likes, one after the other
		s := w.session(client)
		s.exec("whoami")
		if s.wait() != 0 {
			t.Fatal("status")
		}
		for range s.status { // until it is closed
		}
	}
}

// TestUnreadChannel has a program that prints without end on a channel that the client never reads.
func TestUnreadChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	var written atomic.Int64
	w.engine.instead = func(ctx context.Context, x cloud.Exec) (int, error) {
		if x.Argv[2] == "hello" {
			_, err := io.WriteString(x.Stdout, "hello")
			return 0, err
		}
		for ctx.Err() == nil {
			n, err := x.Stdout.Write(make([]byte, 32<<10))
			written.Add(int64(n))
			if err != nil {
				return 1, nil
			}
		}
		return 1, ctx.Err()
	}
	client := ada.dial(site)
	unread := w.session(client)
	unread.exec("endless")
	const window = 2 << 20 // of x/crypto's client
	w.eventually("the window is full", func() bool { return written.Load() == window })
	for range 20 {
		s := w.session(client)
		s.exec("hello")
		if text, err := io.ReadAll(s); string(text) != "hello" || err != nil {
			t.Fatalf("%q %v", text, err)
		}
	}
	if got := written.Load(); got != window {
		t.Errorf("%d bytes went out", got)
	}
	w.must(unread.Close())
	w.eventually("the program ends", func() bool { return w.engine.running.Load() == 0 })
}
