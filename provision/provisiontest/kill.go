package provisiontest

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"plil.net/nuage/cloud"
)

// endless are sessions that do not end by themselves. Each %ID is one that a look at the processes finds.
var endless = []struct{ name, script string }{
	{"a plain program", `exec sleep %ID`},
	{"a child of the shell", `sleep %ID; true`},
	{"one that ignores signals", `trap '' HUP INT TERM QUIT; sleep %ID; sleep %ID`},
	{"background jobs", `sleep %ID & sleep %ID & (trap '' TERM HUP; sleep %ID) & wait`},
	{"a pipe", `sleep %ID | cat | cat`},
	{"one without output", `exec >&- 2>&-; sleep %ID; true`},
	{"a stopped job", `sleep %ID & sleep 0.3; kill -STOP $!; wait`},
}

// family is a parent and a child of one process group. Each says that it is ready, and that it got the signal; the parent
// ends after the child.
const family = `
	$| = 1;
	$name = shift;
	$child = fork // die;
	$SIG{$name} = sub { syswrite STDOUT, "got $name\n"; waitpid $child, 0 if $child; exit 7 } if $name ne "KILL";
	syswrite STDOUT, "ready\n";
	sleep 1 while 1;`

var killTests = []test{
	{"the end of the context kills the session", func(t *testing.T, h Harness) {
		s := h.up(t)
		for _, c := range endless {
			t.Run(c.name, func(t *testing.T) {
				mark := seconds()
				ctx, cancel := context.WithCancel(t.Context())
				in, out := io.Pipe()
				defer out.Close()
				ended := make(chan result, 1)
				go func() { ended <- h.exec(ctx, s, strings.ReplaceAll(c.script, "%ID", mark), in) }()
				h.running(t, s, "sleep "+mark)
				cancel()
				if r := <-ended; !errors.Is(r.err, context.Canceled) {
					t.Errorf("%+v", r)
				}
				h.gone(t, s, "sleep "+mark)
			})
		}
	}},
	{"the end of the context kills an interactive shell and its job", func(t *testing.T, h Harness) {
		s := h.up(t)
		ctx, cancel := context.WithCancel(t.Context())
		in, out := io.Pipe()
		defer out.Close()
		ended := make(chan error, 1)
		go func() {
			_, err := h.Engine.Exec(ctx, s.ID, cloud.Exec{Argv: []string{"bash", "-i"}, TTY: true, Stdin: in, Stdout: &lines{}})
			ended <- err
		}()
		job := "sleep " + seconds()
		_, _ = io.WriteString(out, job+" &\n"+job+"\n")
		h.running(t, s, job)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		h.gone(t, s, job)
	}},
	{"the end of one session leaves the others", func(t *testing.T, h Harness) {
		s := h.up(t)
		staying, leaving := "sleep "+seconds(), "sleep "+seconds()
		ended := make(chan result, 1)
		stay, stop := context.WithCancel(t.Context())
		defer stop()
		go func() { ended <- h.exec(stay, s, staying+"; true", nil) }()
		h.running(t, s, staying)
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan result, 1)
		go func() { gone <- h.exec(ctx, s, leaving+"; true", nil) }()
		h.running(t, s, leaving)
		cancel()
		<-gone
		h.gone(t, s, leaving)
		h.running(t, s, staying)
		stop()
		<-ended
	}},
	{"signals reach the program", func(t *testing.T, h Harness) {
		s := h.up(t)
		signals := make(chan string)
		out := &lines{}
		ended := make(chan result, 1)
		go func() {
			status, err := h.Engine.Exec(t.Context(), s.ID, cloud.Exec{
				Argv:   []string{"/bin/sh", "-c", `trap 'echo got it' USR1; trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done`},
				Stdout: out, Signals: signals,
			})
			ended <- result{status: status, err: err}
		}()
		eventually(t, "ready", func() bool { return strings.Contains(out.String(), "ready") })
		signals <- "NOSUCH"
		signals <- "USR1"
		eventually(t, "USR1 arrived", func() bool { return strings.Contains(out.String(), "got it") })
		signals <- "TERM"
		if r := <-ended; r.err != nil || r.status != 7 {
			t.Errorf("%+v", r)
		}
	}},
	{"each signal reaches all of the program's process group", func(t *testing.T, h Harness) {
		s := h.up(t)
		var all sync.WaitGroup
		for _, name := range []string{"HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "KILL"} {
			all.Go(func() {
				signals := make(chan string)
				out := &lines{}
				ended := make(chan result, 1)
				go func() {
					status, err := h.Engine.Exec(t.Context(), s.ID, cloud.Exec{
						Argv: []string{"perl", "-e", family, name}, Stdout: out, Signals: signals,
					})
					ended <- result{status: status, err: err}
				}()
				eventually(t, name+": both are ready", func() bool { return strings.Count(out.String(), "ready") == 2 })
				signals <- name
				want, status := 2, 7
				if name == "KILL" {
					want, status = 0, 128+9
				}
				r := <-ended
				if got := strings.Count(out.String(), "got "+name); r.err != nil || r.status != status || got != want {
					t.Errorf("%s: %+v, %d got it, want %d", name, r, got, want)
				}
			})
		}
		all.Wait()
	}},
	{"exec does not begin after its context", func(t *testing.T, h Harness) {
		s := h.up(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if r := h.exec(ctx, s, "true", nil); !errors.Is(r.err, context.Canceled) {
			t.Errorf("%+v", r)
		}
	}},
}

// seconds is an argument of sleep that no other test has: a fake's processes are those of the whole host.
func seconds() string { return strconv.Itoa(1_000_000 + rand.IntN(100_000_000)) }

// running waits until a process with this command line is there.
func (h Harness) running(t *testing.T, s cloud.Spec, command string) {
	t.Helper()
	eventually(t, command+" runs", func() bool { return h.processes(t, s, command) > 0 })
}

// gone wants no such process now: Exec has returned.
func (h Harness) gone(t *testing.T, s cloud.Spec, command string) {
	t.Helper()
	if n := h.processes(t, s, command); n > 0 {
		t.Errorf("%d of %q still run", n, command)
	}
}

// processes counts those with exactly this command line, dead ones apart.
func (h Harness) processes(t *testing.T, s cloud.Spec, command string) int {
	t.Helper()
	r := h.exec(t.Context(), s, "ps -eo stat=,args=", nil)
	if r.err != nil {
		t.Fatal(r.err)
	}
	n := 0
	for line := range strings.Lines(r.stdout) {
		f := strings.Fields(line)
		if len(f) > 1 && !strings.HasPrefix(f[0], "Z") && strings.Join(f[1:], " ") == command {
			n++
		}
	}
	return n
}
