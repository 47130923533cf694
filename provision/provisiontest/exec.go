package provisiontest

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

var statuses = []struct {
	script string
	status int
}{
	{"true", 0},
	{"exit 3", 3},
	{"exit 255", 255},
	{"kill -KILL $$", 128 + 9},
	{"kill -TERM $$", 128 + 15},
	{"no-such-program", 127},
	{"exec >&- 2>&-; sleep 0.3; exit 4", 4},     // closes its output and goes on
	{"exec <&- >&- 2>&-; sleep 0.3; exit 5", 5}, // and its input
}

var execTests = []test{
	{"exec gives the program's status", func(t *testing.T, h Harness) {
		s := h.up(t)
		for _, c := range statuses {
			if r := h.exec(t.Context(), s, c.script, nil); r.err != nil || r.status != c.status {
				t.Errorf("%q: %+v, want status %d", c.script, r, c.status)
			}
		}
	}},
	{"exec runs programs without a shell", func(t *testing.T, h Harness) {
		s := h.up(t)
		Write(t, s, "not-a-program", "")
		for _, c := range []struct {
			argv   []string
			stdout string
			status int
		}{
			{[]string{"echo", "a  b", "$HOME", "*", ""}, "a  b $HOME * \n", 0},
			{[]string{"no-such-program"}, "", 127},
			{[]string{"./no/such/program", "x"}, "", 127},
			{[]string{"./not-a-program"}, "", 126},
		} {
			var stdout, stderr bytes.Buffer
			status, err := h.Engine.Exec(t.Context(), s.ID, cloud.Exec{Argv: c.argv, Stdout: &stdout, Stderr: &stderr})
			if err != nil || status != c.status || stdout.String() != c.stdout || (status != 0) != (stderr.Len() > 0) {
				t.Errorf("%q: status %d, %v, stdout %q, stderr %q", c.argv, status, err, stdout.String(), stderr.String())
			}
		}
		_, err := h.Engine.Exec(t.Context(), s.ID, cloud.Exec{})
		wantKind(t, err, cloud.Invalid)
	}},
	{"exec starts in the home with its environment", func(t *testing.T, h Harness) {
		s := h.up(t)
		var stdout bytes.Buffer
		_, err := h.Engine.Exec(t.Context(), s.ID, cloud.Exec{
			Argv: []string{"/bin/sh", "-c", `cat www/index.html; echo " $A|$B"; test -t 0 || echo no terminal`},
			Env:  []string{"A=one", "B=x y=z"}, Stdout: &stdout,
		})
		if want := s.ID + " one|x y=z\nno terminal\n"; err != nil || stdout.String() != want {
			t.Errorf("%q, want %q, %v", stdout.String(), want, err)
		}
	}},
	{"exec keeps stdout and stderr apart", func(t *testing.T, h Harness) {
		s := h.up(t)
		r := h.exec(t.Context(), s, `printf 'out\r\n\001\000'; printf 'err\n' >&2`, nil)
		if r.err != nil || r.stdout != "out\r\n\x01\x00" || r.stderr != "err\n" {
			t.Errorf("%+v", r)
		}
	}},
	{"exec passes the end of input on and takes what comes after", func(t *testing.T, h Harness) {
		s := h.up(t)
		r := h.exec(t.Context(), s, `cat; sleep 0.3; echo after; exit 6`, strings.NewReader("in\n"))
		if r.err != nil || r.stdout != "in\nafter\n" || r.status != 6 {
			t.Errorf("%+v", r)
		}
		if r := h.exec(t.Context(), s, `wc -c`, nil); strings.TrimSpace(r.stdout) != "0" {
			t.Errorf("no input: %+v", r)
		}
	}},
	{"exec ends with the program though its input does not", func(t *testing.T, h Harness) {
		s := h.up(t)
		in, out := io.Pipe()
		defer out.Close()
		if r := h.exec(t.Context(), s, "head -c 0; exit 2", in); r.err != nil || r.status != 2 {
			t.Errorf("%+v", r)
		}
	}},
	{"exec returns though a background child holds the output", func(t *testing.T, h Harness) {
		s := h.up(t)
		start := time.Now()
		r := h.exec(t.Context(), s, "sleep 50 & echo started", nil)
		if r.err != nil || r.stdout != "started\n" || time.Since(start) > 40*time.Second {
			t.Errorf("%+v after %s", r, time.Since(start))
		}
	}},
	{"exec takes a large input whole", func(t *testing.T, h Harness) {
		s := h.up(t)
		sum := md5.New()
		in := io.TeeReader(io.LimitReader(noise{rand.NewPCG(1, 2)}, h.Bulk), sum)
		r := h.exec(t.Context(), s, "md5sum; exit 9", in)
		if want := hex.EncodeToString(sum.Sum(nil)) + "  -\n"; r.err != nil || r.stdout != want || r.status != 9 {
			t.Errorf("%+v, want %q and status 9", r, want)
		}
	}},
	{"exec gives a large output whole", func(t *testing.T, h Harness) {
		s := h.up(t)
		var n counter
		status, err := h.Engine.Exec(t.Context(), s.ID, cloud.Exec{
			Argv: []string{"/bin/sh", "-c", fmt.Sprintf("head -c %d /dev/zero; exit 8", h.Bulk)}, Stdout: &n,
		})
		if err != nil || status != 8 || int64(n) != h.Bulk {
			t.Errorf("status %d, %v, %d bytes, want %d", status, err, n, h.Bulk)
		}
	}},
	{"exec gives output whole to a slow reader", func(t *testing.T, h Harness) {
		s := h.up(t)
		var all sync.WaitGroup
		for _, size := range []int{1 << 10, 64 << 10, 300 << 10, 900 << 10, 1 << 20, 1300 << 10, 3 << 19, 2 << 20, 5 << 19, 8 << 20} {
			all.Go(func() {
				// Longer than a daemon waits for the output of a dead program.
				slow := &sleeper{pause: 4 * time.Second}
				status, err := h.Engine.Exec(t.Context(), s.ID, cloud.Exec{
					Argv: []string{"/bin/sh", "-c", fmt.Sprintf("head -c %d /dev/zero; exit 8", size)}, Stdout: slow,
				})
				if err != nil || status != 8 || slow.n != size {
					t.Errorf("status %d, %v, %d bytes, want %d", status, err, slow.n, size)
				}
			})
		}
		all.Wait()
	}},
	{"exec gives output whole though all pipes are full at the program's end", func(t *testing.T, h Harness) {
		s := h.up(t)
		var all sync.WaitGroup
		for _, stream := range []string{"STDOUT", "STDERR"} {
			all.Go(func() { h.fill(t, s, stream) })
		}
		all.Wait()
	}},
	{"exec kills what writes where nobody reads", func(t *testing.T, h Harness) {
		s := h.up(t)
		start := time.Now()
		_, err := h.Engine.Exec(t.Context(), s.ID, cloud.Exec{
			Argv: []string{"/bin/sh", "-c", "exec yes " + s.ID}, Stdout: broken{},
		})
		if err == nil || time.Since(start) > Patience/6 {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		h.gone(t, s, "yes "+s.ID)
	}},
	{"exec ends with its context though its output is stuck", func(t *testing.T, h Harness) {
		s := h.up(t)
		ctx, cancel := context.WithCancel(t.Context())
		stuck := stuck{begun: make(chan struct{}), over: make(chan struct{})}
		defer close(stuck.over)
		ended := make(chan error, 1)
		go func() {
			_, err := h.Engine.Exec(ctx, s.ID, cloud.Exec{Argv: []string{"/bin/sh", "-c", "exec yes " + s.ID}, Stdout: stuck})
			ended <- err
		}()
		<-stuck.begun
		start := time.Now()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) || time.Since(start) > Patience/6 {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		h.gone(t, s, "yes "+s.ID)
	}},
	{"exec in a stopped site is a conflict", func(t *testing.T, h Harness) {
		s := h.up(t)
		if err := h.Engine.Down(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		wantKind(t, h.exec(t.Context(), s, "true", nil).err, cloud.Conflict)
		wantKind(t, h.exec(t.Context(), cloud.Spec{ID: "nosuchid"}, "true", nil).err, cloud.Conflict)
	}},
	{"exec ends when the site does", func(t *testing.T, h Harness) {
		s := h.up(t)
		long := "sleep " + seconds()
		ended := make(chan result, 1)
		go func() { ended <- h.exec(context.Background(), s, long+"; true", nil) }()
		h.running(t, s, long)
		h.Die(t, s.ID)
		r := <-ended
		wantKind(t, r.err, cloud.Unavailable)
	}},
}

// noise is a stream that no compression and no luck gets right.
type noise struct{ *rand.PCG }

func (n noise) Read(p []byte) (int, error) {
	for i := 0; i+8 <= len(p); i += 8 {
		v := n.Uint64()
		for j := range 8 {
			p[i+j] = byte(v >> (8 * j))
		}
	}
	return len(p) / 8 * 8, nil
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// sleeper stops once, in the first write.
type sleeper struct {
	pause time.Duration
	n     int
}

func (s *sleeper) Write(p []byte) (int, error) {
	time.Sleep(s.pause)
	s.pause = 0
	s.n += len(p)
	return len(p), nil
}

// filler counts on a stream, until nobody takes anything any more, and leaves the number of bytes in a file of the stream's name.
const filler = `
	use Fcntl;
	my $name = shift;
	open my $out, ">&", $name or die;
	fcntl $out, F_SETFL, O_WRONLY | O_NONBLOCK or die;
	while ($still < 20) {
		$b .= sprintf "%07d\n", ++$i while length $b < 65536;
		if ($n = syswrite $out, $b) { $written += $n; $b = substr $b, $n; $still = 0; next }
		$still++;
		select undef, undef, undef, 0.05;
	}
	open F, ">", "$name.new" and print F $written and close F and rename "$name.new", $name or die;
	exit 8;`

// fill wants all that the filler wrote, though nobody takes any of it until long after its end, and the ends of other programs
// at once.
func (h Harness) fill(t *testing.T, s cloud.Spec, stream string) {
	late := &latecomer{begin: make(chan struct{})}
	ended := make(chan result, 1)
	go func() {
		status, err := h.Engine.Exec(t.Context(), s.ID, cloud.Exec{Argv: []string{"perl", "-e", filler, stream}, Stdout: late, Stderr: late})
		ended <- result{status: status, err: err}
	}()
	written := 0
	eventually(t, stream+" is full", func() bool {
		b, _ := os.ReadFile(filepath.Join(s.Home, stream))
		written, _ = strconv.Atoi(string(b))
		return written > 0
	})
	time.Sleep(3 * time.Second) // a daemon gives up after 2
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	if r := h.exec(ctx, s, "exit 3", nil); r.err != nil || r.status != 3 {
		t.Errorf("beside full %s: %+v", stream, r)
	}
	close(late.begin)
	if r := <-ended; r.err != nil || r.status != 8 || !bytes.Equal(late.got.Bytes(), count(written)) {
		t.Errorf("%s: %+v, %d bytes, want %d", stream, r, late.got.Len(), written)
	}
}

// count is what the filler writes.
func count(n int) []byte {
	var b bytes.Buffer
	for i := 1; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%07d\n", i)
	}
	return b.Bytes()[:n]
}

// latecomer takes nothing before begin is closed.
type latecomer struct {
	begin chan struct{}
	got   bytes.Buffer
}

func (l *latecomer) Write(p []byte) (int, error) {
	<-l.begin
	return l.got.Write(p)
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("nobody reads") }

// stuck is a writer whose first write takes until over is closed.
type stuck struct{ begun, over chan struct{} }

func (s stuck) Write(p []byte) (int, error) {
	close(s.begun)
	<-s.over
	return 0, errors.New("too late")
}
