package gateway_test

import (
	"io"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

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
