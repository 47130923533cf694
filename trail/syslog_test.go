package trail

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// daemon is a syslog that keeps what it is sent.
type daemon struct {
	path, network string
	close         func()

	mu   sync.Mutex
	sent []string
}

// start listens where an earlier one may have listened; one that is deaf reads nothing.
func (d *daemon) start(t *testing.T, deaf bool) {
	t.Helper()
	if err := os.Remove(d.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if d.network == "unix" {
		d.startStream(t)
		return
	}
	l, err := net.ListenUnixgram(d.network, &net.UnixAddr{Name: d.path, Net: d.network})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	d.close = sync.OnceFunc(func() { l.Close(); <-ended })
	t.Cleanup(d.close)
	go func() {
		defer close(ended)
		for buf := make([]byte, 1<<16); !deaf; {
			n, err := l.Read(buf)
			if err != nil {
				return
			}
			d.keep(string(buf[:n]))
		}
	}()
}

func (d *daemon) startStream(t *testing.T) {
	t.Helper()
	l, err := net.Listen("unix", d.path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var mu sync.Mutex
	var conn net.Conn
	d.close = sync.OnceFunc(func() {
		l.Close()
		mu.Lock()
		if conn != nil {
			conn.Close()
		}
		mu.Unlock()
		<-ended
	})
	t.Cleanup(d.close)
	go func() {
		defer close(ended)
		c, err := l.Accept()
		if err != nil {
			return
		}
		mu.Lock()
		conn = c
		mu.Unlock()
		for buf, rest := make([]byte, 1<<16), ""; ; {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			all := strings.Split(rest+string(buf[:n]), "\n")
			rest = all[len(all)-1]
			for _, m := range all[:len(all)-1] {
				d.keep(m)
			}
		}
	}()
}

func (d *daemon) keep(m string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent = append(d.sent, m)
}

func (d *daemon) messages() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.sent)
}

// log is what the trail says, for tests.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func toSyslog(t *testing.T, path string) (*Trail, *log) {
	t.Helper()
	said := &log{}
	trail, err := Open(Options{Syslog: true, SyslogPaths: []string{path + ".none", path}, Log: slog.New(slog.NewTextHandler(said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return trail, said
}

func saw(trail *Trail, from, to int) {
	for n := from; n <= to; n++ {
		trail.Saw(cloud.Event{Seq: uint64(n), Account: "ada\n", Action: cloud.Login, Time: time.Unix(1, 0)})
	}
}

var message = regexp.MustCompile(`(?s)^<86>[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d nuage\[\d+\]: (\{.*\})$`)

// sequence reads the numbers of the events out of messages.
func sequence(t *testing.T, messages []string) (numbers []uint64) {
	t.Helper()
	for _, m := range messages {
		var e cloud.Event
		found := message.FindStringSubmatch(m)
		if found == nil || json.Unmarshal([]byte(found[1]), &e) != nil || e.Account != "ada\n" {
			t.Fatalf("not as it should be: %q", m)
		}
		numbers = append(numbers, e.Seq)
	}
	return numbers
}

func upTo(from, to int) (numbers []uint64) {
	for n := from; n <= to; n++ {
		numbers = append(numbers, uint64(n))
	}
	return numbers
}

// TestSyslog: events arrive in order, in both kinds of socket. While the syslog is away what it misses is counted and said,
// and once it is back it goes on.
func TestSyslog(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"unixgram", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			d := &daemon{path: filepath.Join(t.TempDir(), "log"), network: network}
			d.start(t, false)
			trail, said := toSyslog(t, d.path)
			saw(trail, 1, 1000)
			soon(t, "a thousand", func() bool { return len(d.messages()) == 1000 })
			if got := sequence(t, d.messages()); !slices.Equal(got, upTo(1, 1000)) || trail.Lost() != 0 {
				t.Fatalf("%d lost, %v", trail.Lost(), got)
			}

			d.close()
			probes := 0
			soon(t, "noticed", func() bool { // a stream takes what comes just before
				probes++
				saw(trail, 1, 1)
				return trail.Lost() > 0
			})
			saw(trail, 1001, 1300)
			soon(t, "counted", func() bool { return trail.Lost() >= 300 })
			soon(t, "said", func() bool { return strings.Contains(said.String(), "the audit is not told") })

			d.start(t, false)
			saw(trail, 1301, 1310)
			if err := trail.Close(); err != nil {
				t.Error(err)
			}
			soon(t, "it goes on", func() bool { return strings.Contains(strings.Join(d.messages(), ""), `"seq":1310,`) })
			got := sequence(t, d.messages())
			if sum := len(got) + int(trail.Lost()); !slices.Equal(got[len(got)-10:], upTo(1301, 1310)) || sum > 1310+probes || sum < 1310 {
				t.Errorf("%d arrived, %d lost, of 1310 and %d", len(got), trail.Lost(), probes)
			}
			if want := fmt.Sprintf("the audit is told again\" lost=%d", trail.Lost()); !strings.Contains(said.String(), want) {
				t.Errorf("no %q in %s", want, said)
			}
		})
	}
}

// TestSyslogRestarted: it is another one at the same socket, and nothing is lost.
func TestSyslogRestarted(t *testing.T) {
	t.Parallel()
	d := &daemon{path: filepath.Join(t.TempDir(), "log"), network: "unixgram"}
	d.start(t, false)
	trail, _ := toSyslog(t, d.path)
	saw(trail, 1, 10)
	soon(t, "ten", func() bool { return len(d.messages()) == 10 })
	d.close()
	d.start(t, false)
	saw(trail, 11, 20)
	if err := trail.Close(); err != nil {
		t.Error(err)
	}
	soon(t, "twenty", func() bool { return len(d.messages()) == 20 })
	if trail.Lost() != 0 {
		t.Errorf("%d lost", trail.Lost())
	}
}

// TestSyslogStuck: one that reads nothing holds up nobody, not the end either, and each event is in its socket or counted.
func TestSyslogStuck(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	trail, said := toSyslog(t, path)
	saw(trail, 1, 3*queued)
	ended := make(chan error, 1)
	go func() { ended <- trail.Close() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits for a syslog that does not read")
	}
	arrived := int64(0)
	for buf := make([]byte, 1<<16); ; arrived++ {
		if err := l.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Read(buf); err != nil {
			break
		}
	}
	if arrived+trail.Lost() != 3*queued || arrived == 0 || !strings.Contains(said.String(), "the audit is not told") {
		t.Errorf("%d arrived, %d lost, of %d: %s", arrived, trail.Lost(), 3*queued, said)
	}
}

// TestNoSyslog: a gateway that shall write to one and finds none says so at once.
func TestNoSyslog(t *testing.T) {
	t.Parallel()
	_, err := Open(Options{Syslog: true, SyslogPaths: []string{filepath.Join(t.TempDir(), "log")}, Log: slog.Default()})
	if cloud.KindOf(err) != cloud.Unavailable || !strings.Contains(fmt.Sprint(err), "no syslog answers") {
		t.Errorf("%v", err)
	}
}

// TestBothOutlets: one that fails does not keep the other from being told.
func TestBothOutlets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := &daemon{path: filepath.Join(dir, "log"), network: "unixgram"}
	d.start(t, false)
	file := filepath.Join(dir, "audit.jsonl")
	trail, err := Open(Options{File: file, Syslog: true, SyslogPaths: []string{d.path}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	d.close()
	saw(trail, 1, 500)
	if err := trail.Close(); err != nil {
		t.Error(err)
	}
	if n := len(lines(t, file)); n != 500 || trail.Lost() != 500 {
		t.Errorf("%d lines, %d lost", n, trail.Lost())
	}
}

// TestRsyslogd is Debian's own, which is ended and started again.
func TestRsyslogd(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("rsyslogd")
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("NUAGE_MUST"), ","), "rsyslogd") {
			t.Fatalf("rsyslogd was promised by NUAGE_MUST: %v", err)
		}
		t.Skipf("needs rsyslogd: %v", err)
	}
	dir := t.TempDir()
	socket, out, config := filepath.Join(dir, "log"), filepath.Join(dir, "authpriv"), filepath.Join(dir, "conf")
	text := fmt.Sprintf("global(workDirectory=%q)\nmodule(load=\"imuxsock\" SysSock.Use=\"off\")\n"+
		"input(type=\"imuxsock\" Socket=%q RateLimit.Interval=\"0\")\nauthpriv.=info action(type=\"omfile\" file=%q)\n", dir, socket, out)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func() (stop func()) {
		cmd := exec.Command(program, "-n", "-f", config, "-i", filepath.Join(dir, "pid"))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop = sync.OnceFunc(func() {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		})
		t.Cleanup(stop)
		soon(t, "rsyslogd listens", func() bool {
			c, err := net.Dial("unixgram", socket)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
		return stop
	}
	stop := start()
	trail, _ := toSyslog(t, socket)
	saw(trail, 1, 100)
	soon(t, "a hundred lines", func() bool { return len(lines(t, out)) == 100 })
	stop()
	saw(trail, 101, 150)
	soon(t, "counted", func() bool { return trail.Lost() == 50 })
	start()
	saw(trail, 151, 160)
	if err := trail.Close(); err != nil {
		t.Error(err)
	}
	soon(t, "it goes on", func() bool { return len(lines(t, out)) == 110 })
	all := lines(t, out)
	if !strings.Contains(all[0], " nuage[") || !strings.Contains(all[0], `"action":"login"`) || !strings.Contains(all[109], `"seq":160`) {
		t.Errorf("%s\n%s", all[0], all[109])
	}
	if trail.Lost() != 50 {
		t.Errorf("%d lost", trail.Lost())
	}
}
