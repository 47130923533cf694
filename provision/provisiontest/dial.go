package provisiontest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// answering is a program in a site that says where it listens, and to each client, once it has sent all, its uid and
// how much that was. Perl is in every Debian.
const answering = `perl -MIO::Socket::INET -MIO::Socket::UNIX -e '
	$| = 1;
	$path = shift;
	$s = $path ? IO::Socket::UNIX->new(Local => $path, Listen => 9) : IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 9);
	$s or die "no socket: $!";
	print $path || "127.0.0.1:" . $s->sockport, "\n";
	while ($c = $s->accept) {
		$n = 0;
		while (sysread $c, $b, 65536) { $n += length $b }
		($pid, $uid) = unpack "LLL", getsockopt($c, 1, 17) if $path; # SO_PEERCRED
		print $c "$n bytes from ", $path ? $uid : "somebody", "\n";
		close $c;
	}' `

// listens runs a program that prints where it listens.
func (h Harness) listens(t *testing.T, s cloud.Spec, script string) (address string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	complaints := &lines{}
	var running sync.WaitGroup
	running.Go(func() {
		_, _ = h.Engine.Exec(ctx, s.ID, cloud.Exec{Argv: []string{"/bin/sh", "-c", script}, Stdout: in, Stderr: complaints})
		in.Close()
	})
	t.Cleanup(func() { cancel(); out.Close(); running.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("nothing listens: %v, %s", err, complaints)
	}
	return strings.TrimSpace(address)
}

func network(address string) string {
	if strings.HasPrefix(address, "/") {
		return "unix"
	}
	return "tcp"
}

// says sends so many bytes, half-closes, and returns the answer.
func says(c cloud.Conn, n int64) (string, error) {
	defer c.Close()
	if _, err := io.CopyN(c, zeros{}, n); err != nil {
		return "", err
	}
	if err := c.CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

var dialTests = []test{
	{"dial reaches what listens on loopback or a path inside", func(t *testing.T, h Harness) {
		s := h.up(t)
		for at, want := range map[string]string{
			h.listens(t, s, answering): "somebody", h.listens(t, s, answering+"/tmp/"+s.ID): strconv.Itoa(s.UID),
		} {
			var all sync.WaitGroup
			for n := range int64(5) {
				all.Go(func() {
					c, err := h.Engine.Dial(t.Context(), s.ID, network(at), at)
					if err != nil {
						t.Errorf("%s: %v (%v)", at, err, causeOf(err))
						return
					}
					got, err := says(c, n<<20)
					if want := fmt.Sprintf("%d bytes from %s\n", n<<20, want); got != want || err != nil {
						t.Errorf("%s: %q, want %q, %v", at, got, want, err)
					}
				})
			}
			all.Wait()
		}
		_ = os.Remove("/tmp/" + s.ID) // a fake's is the host's
	}},
	{"dial says what is wrong", func(t *testing.T, h Harness) {
		s := h.up(t)
		nobody := h.listens(t, s, `perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1);
			$port = $s->sockport; close $s; print "127.0.0.1:$port\n"'`)
		for _, c := range []struct {
			network, address string
			kind             cloud.Kind
		}{
			{"tcp", nobody, cloud.Unavailable},
			{"unix", "/no/such/socket", cloud.NotFound},
			{"unix", s.Home, cloud.NotFound}, // in a container
		} {
			if c.address == s.Home && h.OnHost {
				continue
			}
			_, err := h.Engine.Dial(t.Context(), s.ID, c.network, c.address)
			if got := cloud.KindOf(err); got != c.kind {
				t.Errorf("%s %q: %v, want %s", c.network, c.address, err, c.kind)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := h.Engine.Dial(ctx, s.ID, "tcp", nobody); !errors.Is(err, context.Canceled) {
			t.Errorf("after its context: %v", err)
		}
	}},
	{"what was dialled ends with the site", func(t *testing.T, h Harness) {
		s := h.up(t)
		at := h.listens(t, s, answering)
		c, err := h.Engine.Dial(t.Context(), s.ID, "tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		h.Die(t, s.ID)
		_ = c.SetReadDeadline(time.Now().Add(Patience))
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
	}},
	{"listen makes a socket of the site's own, and close removes it", func(t *testing.T, h Harness) {
		s := h.up(t)
		l, err := h.Engine.Listen(t.Context(), s.ID)
		if err != nil {
			t.Fatalf("%v (%v)", err, causeOf(err))
		}
		defer l.Close()
		other, err := h.Engine.Listen(t.Context(), s.ID)
		if err != nil || other.Addr().String() == l.Addr().String() {
			t.Fatalf("another: %v", err)
		}
		defer other.Close()
		at := l.Addr().String()
		want := fmt.Sprintf("%d 700\n%d 600\n", s.UID, s.UID)
		if r := h.exec(t.Context(), s, `stat -c '%u %a' $(dirname `+at+`) `+at, nil); r.stdout != want {
			t.Errorf("%+v, want %q", r, want)
		}
		var serving sync.WaitGroup
		serving.Go(func() { greet(l) })
		r := h.exec(t.Context(), s, `perl -MIO::Socket::UNIX -e '
			$s = IO::Socket::UNIX->new(Peer => shift) or die $!; print $s "from inside"; shutdown $s, 1; print <$s>' `+at, nil)
		if r.stdout != "got from inside" {
			t.Errorf("%+v", r)
		}
		if err := errors.Join(l.Close(), other.Close()); err != nil {
			t.Error(err)
		}
		serving.Wait()
		if r := h.exec(t.Context(), s, "ls -d $(dirname "+at+") 2>&1", nil); r.status == 0 {
			t.Errorf("after close: %+v", r)
		}
	}},
	{"no dial and no listen in a stopped site", func(t *testing.T, h Harness) {
		s := h.up(t)
		l, err := h.Engine.Listen(t.Context(), s.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Engine.Down(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{s.ID, "nosuchid"} {
			_, err := h.Engine.Dial(t.Context(), id, "tcp", "127.0.0.1:8080")
			wantKind(t, err, cloud.Conflict)
			_, err = h.Engine.Listen(t.Context(), id)
			wantKind(t, err, cloud.Conflict)
		}
		if err := l.Close(); err != nil {
			t.Errorf("close of a socket whose site is stopped: %v", err)
		}
	}},
}

// greet says to each client what it said.
func greet(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		said, _ := io.ReadAll(c)
		fmt.Fprintf(c, "got %s", said)
		c.Close()
	}
}
