package gateway_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// payloads are good payloads of each request.
func payloads() map[string][]byte {
	return map[string][]byte{
		"pty-req":       ssh.Marshal(ptyRequest{"xterm", 80, 24, 640, 480, "\x01\x00\x00\x00\x80\x00"}),
		"window-change": ssh.Marshal(struct{ C, R, W, H uint32 }{80, 24, 0, 0}),
		"env":           ssh.Marshal(struct{ Name, Value string }{"LANG", "C"}),
		"signal":        ssh.Marshal(struct{ Name string }{"TERM"}),
		"exec":          ssh.Marshal(struct{ Line string }{"whoami"}),
		"subsystem":     ssh.Marshal(struct{ Name string }{"sftp"}),
		"shell":         nil,

		"auth-agent-req@openssh.com": nil,
	}
}

// TestMalformedRequests cuts each request at each byte, adds to it, and lies about the lengths in it.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	client := w.person("ada").dial("ada")
	for kind, good := range payloads() {
		var bad [][]byte
		for i := range good {
			bad = append(bad, good[:i])
		}
		bad = append(bad, append(good[:len(good):len(good)], 0), []byte{0xff, 0xff, 0xff, 0xff},
			[]byte{0xff, 0xff, 0xff, 0xfb, 1, 2, 3, 4, 5, 6, 7, 8}, []byte{0x7f, 0xff, 0xff, 0xff, 'x'}, []byte{0x80, 0, 0, 0})
		s := w.session(client)
		for _, payload := range bad {
			if ok, err := s.SendRequest(kind, true, payload); ok || err != nil {
				t.Fatalf("%s %x: %v %v", kind, payload, ok, err)
			}
		}
		if !s.exec("whoami") || s.wait() != 0 {
			t.Errorf("after bad %ss a good exec fails", kind)
		}
		_ = s.Close()
	}
}

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

func TestOneProgramPerChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	client := w.person("ada").dial("ada")
	s := w.session(client)
	if !s.exec("whoami") {
		t.Fatal("the first exec")
	}
	for _, kind := range []string{"exec", "shell", "subsystem", "pty-req", "env"} {
		if _, err := s.SendRequest(kind, false, payloads()[kind]); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	text, err := io.ReadAll(s)
	if err != nil || strings.Count(string(text), "ada") != 1 || s.wait() != 0 {
		t.Errorf("%q %v", text, err)
	}
}

// TestRequestsAfterExit goes on asking on a channel that the gateway has closed, without closing it.
func TestRequestsAfterExit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	c := w.wire()
	w.answers(msgAuthSuccess)(c.sign("ada", ada.key.PublicKey(), ada.key))
	if out, err := c.run("whoami"); err != nil {
		t.Fatalf("%q %v", out, err)
	}
	for kind, payload := range payloads() {
		for range 100 {
			m := struct {
				Channel uint32
				Kind    string
				Reply   bool
				Rest    []byte `ssh:"rest"`
			}{0, kind, true, payload}
			w.must(c.send(append([]byte{msgChannelRequest}, ssh.Marshal(m)...)))
		}
	}
	if out, err := c.run("whoami"); err != nil || !strings.Contains(out, "ada") {
		t.Errorf("the connection stands still: %q %v", out, err)
	}
}

func TestBigSubsystem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	client := ada.dial("ada")
	s := w.session(client)
	for _, name := range []string{"", "sftp\x00", "SFTP", "netconf", strings.Repeat("s", 200<<10)} {
		if s.ask("subsystem", ssh.Marshal(struct{ Name string }{name})) {
			t.Errorf("subsystem %.20q", name)
		}
	}
	if s.exec(strings.Repeat("x", 200<<10)) || s.exec("a\x00b") {
		t.Error("a bad command")
	}
	c := w.wire()
	w.answers(msgAuthSuccess)(c.sign("ada", ada.key.PublicKey(), ada.key))
	_ = c.send(append([]byte{msgChannelRequest}, make([]byte, 1<<20)...)) // may fail: the gateway hangs up
	if p, err := c.receive(); err == nil {
		t.Errorf("a packet of 1 MiB gets an answer: %x", p[:1])
	}
	if !s.exec("whoami") || s.wait() != 0 {
		t.Error("somebody else's connection is hurt")
	}
}

// cutConn breaks after some bytes.
type cutConn struct {
	net.Conn
	left atomic.Int64
}

func (c *cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.left.Add(-int64(n)) < 0 {
		c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *cutConn) Write(p []byte) (int, error) {
	if c.left.Add(-int64(len(p))) < 0 {
		c.Close()
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(p)
}

// TestClientGoneAnyMoment ends the connection after ever more bytes. That nothing is left of it, TestMain checks.
func TestClientGoneAnyMoment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	for left := int64(0); left < 20_000; left += 331 {
		raw, err := net.Dial("tcp", w.address)
		w.must(err)
		cut := &cutConn{Conn: raw}
		cut.left.Store(left)
		conn, channels, requests, err := ssh.NewClientConn(cut, w.address, w.clientConfig(site, ada.key))
		if err != nil {
			continue
		}
		client := ssh.NewClient(conn, channels, requests)
		if s, err := client.NewSession(); err == nil {
			s.Stdin = zeros{}
			s.Stdout = io.Discard
			if err := s.RequestPty("xterm", 24, 80, nil); err == nil {
				_ = s.Run("cat")
			}
		}
		client.Close()
	}
	w.eventually("all is over", func() bool { return w.engine.running.Load() == 0 && w.gateway.Connections("ada") == 0 })
}

// TestBrokenPackets sends what is no SSH, and what breaks its rules after the login.
func TestBrokenPackets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	for _, greeting := range []string{
		"GET / HTTP/1.1\r\n\r\n", "SSH-1.5-old\r\n", "\x00\x00\x00\x00", strings.Repeat("x", 100_000),
		"SSH-2.0-x\r\n\xff\xff\xff\xff",
	} {
		raw, err := net.Dial("tcp", w.address)
		w.must(err)
		w.must(raw.SetDeadline(time.Now().Add(patience)))
		_, _ = io.WriteString(raw, greeting)
		_ = raw.(*net.TCPConn).CloseWrite()
		if _, err := io.Copy(io.Discard, raw); err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Errorf("%.20q: the connection stays open", greeting)
			}
		}
		raw.Close()
	}
	unknown := binary.BigEndian.AppendUint32([]byte{msgChannelData}, 77)
	for _, packet := range [][]byte{
		{msgChannelOpen}, {msgGlobalRequest, 0xff, 0xff, 0xff, 0xff}, {msgChannelRequest, 0, 0}, {0}, {255},
		append(unknown, 0, 0, 0, 1, 'x'),
	} {
		c := w.wire()
		w.answers(msgAuthSuccess)(c.sign("ada", ada.key.PublicKey(), ada.key))
		w.must(c.send(packet))
		_, _ = c.run("whoami")
		c.Close()
	}
	if o := ada.ssh("ada", "", "whoami"); o.status != 0 {
		t.Errorf("%+v", o)
	}
}
