package provision

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"plil.net/nuage/cloud"
)

// The shell says what is missing and gives 127 or 126, as it does over SSH elsewhere. The first size is set
// inside, before the program runs: engines before API 1.42 take none.
const (
	startPlain = `exec "$@"`
	startTTY   = `stty cols "$1" rows "$2" 2>/dev/null; shift 2; exec "$@"`
)

// detachKeys is a sequence nobody types. The default, Ctrl-P Ctrl-Q, would swallow each Ctrl-P.
const detachKeys = "ctrl-^,ctrl-^,ctrl-_,ctrl-_"

const (
	attachLimit = 30 * time.Second
	writeLimit  = 2 * time.Second // for the output of a killed program
)

// session is one program that Exec runs.
type session struct {
	d         *Docker
	container string
	user      string
	exec      string // id
	started   string // when the container was
	first     int    // process of the container
	mark      string // value of markEnv, by which the session is found inside
	conn      client.ExecAttachResult
}

// Exec implements cloud.Engine. If output cannot be written any more, the program is killed.
func (d *Docker) Exec(ctx context.Context, id string, x cloud.Exec) (int, error) {
	s, err := d.begin(ctx, id, x)
	if err != nil {
		return 0, err
	}
	defer s.conn.Close()
	if x.Stdin != nil {
		go s.feed(x)
	}
	output := newBacklog(s.conn.Reader, id, &d.backlogs)
	defer output.drop()
	var side sync.WaitGroup
	defer side.Wait()
	over, stop := context.WithCancel(ctx)
	defer stop()
	side.Go(func() { s.resizes(over, x.Resize) })
	side.Go(func() { s.signals(over, x.Signals) })
	side.Go(func() { s.hurry(over, output) })

	drained := make(chan error, 1)
	go func() { drained <- drain(x, output) }()
	select {
	case err = <-drained:
		if err == nil {
			var status int
			if status, err = s.wait(ctx); err == nil {
				return status, nil
			}
		}
		s.end()
	case <-ctx.Done():
		s.end()
		select {
		case <-drained:
		case <-time.After(writeLimit): // the caller's writer blocks
		}
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return 0, d.explain(err)
}

func (d *Docker) begin(ctx context.Context, id string, x cloud.Exec) (*session, error) {
	if len(x.Argv) == 0 {
		return nil, cloud.Errorf(cloud.Invalid, "there is no program to run")
	}
	k, err := d.ours(ctx, id)
	if err != nil {
		return nil, err
	}
	if k == nil || !k.State.Running {
		return nil, notRunning()
	}
	s := &session{d: d, container: k.ID, user: k.Config.User, started: k.State.StartedAt, first: k.State.Pid, mark: rand.Text()}
	made, err := d.api.ExecCreate(ctx, k.ID, client.ExecCreateOptions{
		User: s.user, WorkingDir: cloud.HomePath, Cmd: command(x), TTY: x.TTY,
		AttachStdin: x.Stdin != nil, AttachStdout: true, AttachStderr: true,
		Env: append(slices.Clone(x.Env), markEnv+"="+s.mark), DetachKeys: detachKeys,
	})
	if errdefs.IsConflict(err) || errdefs.IsNotFound(err) {
		return nil, notRunning()
	}
	if err != nil {
		return nil, d.explain(err)
	}
	s.exec = made.ID
	// The daemon starts the program even if we leave meanwhile: only once attached is it known what to kill.
	attach, cancel := context.WithTimeout(context.WithoutCancel(ctx), attachLimit)
	defer cancel()
	s.conn, err = d.api.ExecAttach(attach, s.exec, client.ExecAttachOptions{TTY: x.TTY})
	if err != nil {
		return nil, d.explain(err)
	}
	return s, nil
}

// end kills the session. The connection goes first: while output waits in it that nobody takes, the daemon does not
// see that the program is dead.
func (s *session) end() {
	s.conn.Close()
	s.kill()
}

func notRunning() error {
	return cloud.Errorf(cloud.Conflict, "the site is not running").WithHint("start it: site start NAME")
}

// command is what the engine starts. A plain shell needs no other one before it.
func command(x cloud.Exec) []string {
	switch {
	case x.TTY:
		w := cloud.WindowSize{Columns: or(x.Size.Columns, 80), Rows: or(x.Size.Rows, 24)}
		columns, rows := strconv.Itoa(int(w.Columns)), strconv.Itoa(int(w.Rows))
		return append([]string{"/bin/sh", "-c", startTTY, "sh", columns, rows}, x.Argv...)
	case x.Argv[0] == "/bin/sh":
		return x.Argv
	}
	return append([]string{"/bin/sh", "-c", startPlain, "sh"}, x.Argv...)
}

// feed copies the input. Its end is passed on, but never on a terminal: the daemon would close the output too.
func (s *session) feed(x cloud.Exec) {
	_, _ = io.Copy(s.conn.Conn, x.Stdin)
	if !x.TTY {
		_ = s.conn.CloseWrite()
	}
}

// drain copies the output until the program has closed it.
func drain(x cloud.Exec, output io.Reader) error {
	stdout, stderr := writer(x.Stdout), writer(x.Stderr)
	var err error
	if x.TTY {
		_, err = io.Copy(stdout, output)
	} else {
		_, err = stdcopy.StdCopy(stdout, stderr, output)
	}
	return err
}

func writer(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// wait polls for the status: a program may close its output and go on.
func (s *session) wait(ctx context.Context) (int, error) {
	for every := 5 * time.Millisecond; ; every = min(2*every, 250*time.Millisecond) {
		i, err := s.d.api.ExecInspect(ctx, s.exec, client.ExecInspectOptions{})
		if errdefs.IsNotFound(err) || errdefs.IsConflict(err) {
			return 0, stopped(err)
		}
		if err != nil {
			return 0, err
		}
		if !i.Running { // ExitCode counts only then
			if i.ExitCode == killed && s.went(ctx) {
				return 0, stopped(nil)
			}
			return i.ExitCode, nil
		}
		if err := pause(ctx, every); err != nil {
			return 0, err
		}
	}
}

func stopped(cause error) error {
	return cloud.Errorf(cloud.Unavailable, "the site stopped while the program ran").
		WithHint("start it: site start NAME").Because(cause)
}

const (
	killed   = 128 + 9
	goLimit  = 300 * time.Millisecond // from the death of a container's programs until the daemon says so of it
	goMost   = 10 * time.Second       // where it is dying for all to see: a busy daemon takes its time
	goLookAt = 30 * time.Millisecond
)

// went reports whether the container went down, and took with it a program that was killed.
func (s *session) went(ctx context.Context) bool {
	for start := time.Now(); time.Since(start) < goLimit || time.Since(start) < goMost && isDying(s.first); {
		k, err := s.d.api.ContainerInspect(ctx, s.container, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) || err == nil && (!k.Container.State.Running || k.Container.State.StartedAt != s.started) {
			return true
		}
		if pause(ctx, goLookAt) != nil {
			return false
		}
	}
	return false
}

// isDying reports whether a process is at its end, or gone: it has no command line any more. The first process of a container
// comes to that before the others are killed for it.
func isDying(pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return len(line) == 0 && (err == nil || errors.Is(err, fs.ErrNotExist))
}

// resizes passes on the newest size of the terminal.
func (s *session) resizes(ctx context.Context, sizes <-chan cloud.WindowSize) {
	for {
		select {
		case <-ctx.Done():
			return
		case w, ok := <-sizes:
			if !ok {
				return
			}
			w = newest(sizes, w)
			_, err := s.d.api.ExecResize(ctx, s.exec, client.ExecResizeOptions{Height: uint(w.Rows), Width: uint(w.Columns)})
			if err != nil && !errors.Is(err, context.Canceled) {
				s.d.Log.Debug("resize", "err", err)
			}
		}
	}
}

// newest takes all sizes that wait.
func newest(sizes <-chan cloud.WindowSize, w cloud.WindowSize) cloud.WindowSize {
	for {
		select {
		case next, ok := <-sizes:
			if !ok {
				return w
			}
			w = next
		default:
			return w
		}
	}
}
