package gateway_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

// TestExitSignal has programs that a signal ends, and programs that exit with the status of one.
func TestExitSignal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	client := ada.dial(ada.site("blog", cloud.PHP))
	for _, c := range []struct{ line, signal, want string }{
		{"echo; exec sleep 1000", "TERM", "signal TERM"},
		{"echo; exec sleep 1000", "KILL", "signal KILL"},
		{"echo; exec sleep 1000", "USR2", "signal USR2"},
		{"trap 'exit 3' HUP; echo; while :; do sleep 0.01; done", "HUP", "status 3"},
		{"trap '' INT; echo; read line; exit 143", "INT", "status 143"}, // 128+TERM, and nobody sent that
		{"echo; read line; kill -KILL $$", "", "status 137"},            // its own doing
	} {
		ch, reqs, err := client.OpenChannel("session", nil)
		w.must(err)
		_, err = ch.SendRequest("exec", true, ssh.Marshal(struct{ Line string }{c.line}))
		w.must(err)
		_, err = io.ReadFull(ch, make([]byte, 1))
		w.must(err)
		if c.signal != "" {
			ok, err := ch.SendRequest("signal", true, ssh.Marshal(struct{ Name string }{c.signal}))
			if !ok || err != nil {
				t.Errorf("%s: %v %v", c.signal, ok, err)
			}
		}
		_, _ = io.WriteString(ch, "\n")
		var ends []string
		for r := range reqs {
			var m struct {
				Status uint32
				Rest   []byte `ssh:"rest"`
			}
			switch w.must(ssh.Unmarshal(r.Payload, &m)); r.Type {
			case "exit-status":
				ends = append(ends, fmt.Sprintf("status %d", m.Status))
			case "exit-signal": // RFC 4254 section 6.10
				var m struct {
					Name              string
					Core              bool
					Message, Language string
				}
				w.must(ssh.Unmarshal(r.Payload, &m))
				ends = append(ends, "signal "+m.Name)
			}
		}
		if got := strings.Join(ends, ", "); got != c.want {
			t.Errorf("%q and %q: %s, want %s", c.line, c.signal, got, c.want)
		}
	}
}

// TestRekey has new keys made every mebibyte, in both directions at once, through a session and through a forward.
func TestRekey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	const size = 16 << 20
	sum := sha256.New()
	cmd := ada.program("ssh", "-oRekeyLimit=1M", "-l", site, "127.0.0.1", "cat; exit 7")
	cmd.Stdin = io.TeeReader(io.LimitReader(zeros{}, size), sum)
	o := w.run(cmd)
	if got := sha256.Sum256([]byte(o.stdout)); o.status != 7 || len(o.stdout) != size || string(got[:]) != string(sum.Sum(nil)) {
		t.Errorf("status %d, %d bytes, %s", o.status, len(o.stdout), o.stderr)
	}
	at := w.counting("tcp", "127.0.0.1:0").String()
	cmd = ada.program("ssh", "-oRekeyLimit=1M", "-W", at, "-l", site, "127.0.0.1")
	cmd.Stdin = io.LimitReader(zeros{}, size)
	if o := w.run(cmd); o.stdout != fmt.Sprintf("%d bytes", size) {
		t.Errorf("%+v", o)
	}
}

// TestBackground is ssh -f: the client goes to the background once it is logged in, and its program goes on.
func TestBackground(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	cmd := ada.program("ssh", "-f", "-l", site, "127.0.0.1", "sleep 1000")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	w.eventually("its program runs", func() bool { return w.engine.running.Load() == 1 })
	w.gateway.HangUp("ada", "")
	w.eventually("it is gone", func() bool { return w.engine.running.Load() == 0 && w.gateway.Connections("ada") == 0 })
}

// timed is a connection that knows the deadlines which are set on it.
type timed struct {
	net.Conn
	mu          sync.Mutex
	read, write time.Time
}

func (c *timed) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read, c.write = t, t
	return c.Conn.SetDeadline(t)
}

func (c *timed) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = t
	return c.Conn.SetReadDeadline(t)
}

func (c *timed) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write = t
	return c.Conn.SetWriteDeadline(t)
}

func (c *timed) unbounded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read.IsZero() && c.write.IsZero()
}

type timedListener struct {
	net.Listener
	conns chan *timed
}

func (l timedListener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &timed{Conn: raw}
	l.conns <- c
	return c, nil
}

// TestIdleForADay shows what a session of a day would need: a client that answers is asked for ever, and nothing else has
// an end.
func TestIdleForADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{KeepAlive: 2 * time.Second})
	ada := w.person("ada")
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	l := timedListener{inner, make(chan *timed, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.gateway.Serve(ctx, l) }()
	defer func() { cancel(); w.must(<-served) }()
	raw, err := net.Dial("tcp", inner.Addr().String())
	w.must(err)
	own, channels, requests, err := ssh.NewClientConn(raw, w.address, w.clientConfig(ada.site("blog", cloud.PHP), ada.key))
	w.must(err)
	var asked atomic.Int32
	go func() {
		for r := range requests {
			asked.Add(1)
			_ = r.Reply(false, nil)
		}
	}()
	none := make(chan *ssh.Request)
	close(none)
	client := ssh.NewClient(own, channels, none)
	defer client.Close()
	conn := <-l.conns
	s := w.session(client)
	s.exec("echo begun; read line; echo $line")
	_, err = io.ReadFull(s, make([]byte, 6))
	w.must(err)
	if !conn.unbounded() {
		t.Error("the connection has a deadline")
	}
	begun := asked.Load()
	w.eventually("it was asked more often than one may be silent", func() bool { return asked.Load() > begun+3 })
	if !conn.unbounded() {
		t.Error("the connection has a deadline after a while")
	}
	_, err = io.WriteString(s, "still here\n")
	w.must(err)
	if text, err := io.ReadAll(s); string(text) != "still here\n" || err != nil || s.wait() != 0 {
		t.Errorf("%q %v", text, err)
	}
}

// TestUnreadForward has a site that talks to a client which never reads, and a client that talks to a site which never
// does: both are only slow, and neither holds up anybody.
func TestUnreadForward(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	client := ada.dial(ada.site("blog", cloud.PHP))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	defer l.Close()
	var talking sync.WaitGroup
	for _, talk := range []func(ssh.Channel, net.Conn){
		func(_ ssh.Channel, inside net.Conn) { _, _ = io.Copy(inside, zeros{}) },
		func(ch ssh.Channel, _ net.Conn) { _, _ = io.Copy(ch, zeros{}) },
	} {
		ch, err := direct(client, l.Addr().String())
		w.must(err)
		inside, err := l.Accept()
		w.must(err)
		defer inside.Close()
		talking.Go(func() { talk(ch, inside) })
	}
	for range 5 {
		s := w.session(client)
		s.exec("exit 3")
		if s.wait() != 3 {
			t.Error("a session beside them")
		}
	}
	client.Close()
	talking.Wait()
	w.eventually("nothing is left", func() bool { return w.gateway.Forwards("ada") == 0 })
}

// TestWakeIsTold wakes a site slowly: a person at a terminal is told, beside the output; a script is not.
func TestWakeIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	w.must(w.cloud.SetAccount(context.Background(), w.who(), "ada", []string{"idle=1s"}))
	ctx, cancel := context.WithCancel(context.Background())
	var reaping sync.WaitGroup
	reaping.Go(func() { w.cloud.Run(ctx) })
	defer reaping.Wait()
	defer cancel()
	w.engine.slowUp.Store(int64(3 * time.Second))
	for _, terminal := range []bool{true, false} {
		w.eventually("it sleeps", func() bool {
			s, err := w.cloud.Site(context.Background(), w.who(), site)
			w.must(err)
			return s.State == cloud.Asleep
		})
		s, want := w.session(ada.dial(site)), ""
		if terminal {
			s.ask("pty-req", payloads()["pty-req"])
			want = "nuage: starting the container…\r\n"
		}
		s.exec("printf out")
		told, err := io.ReadAll(s.Stderr())
		w.must(err)
		if out, err := io.ReadAll(s); string(out) != "out" || err != nil || string(told) != want {
			t.Errorf("terminal %v: output %q, told %q, %v", terminal, out, told, err)
		}
	}
}
