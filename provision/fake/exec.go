package fake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"plil.net/nuage/cloud"
)

const (
	drain  = 2 * time.Second        // for output that a background child still holds
	polite = 500 * time.Millisecond // from the first signals to KILL
)

// Exec implements cloud.Engine, on the host: the home is $HOME and the working directory, not /home/site.
func (e *Engine) Exec(ctx context.Context, id string, x cloud.Exec) (int, error) {
	if len(x.Argv) == 0 {
		return 0, cloud.Errorf(cloud.Invalid, "there is no program to run")
	}
	alive, done, home, err := e.enter(ctx, id)
	if err != nil {
		return 0, err
	}
	defer done()
	c := exec.Command("/bin/sh", append([]string{"-c", `exec "$@"`, "sh"}, x.Argv...)...)
	c.Dir = home
	c.Env = append([]string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + home, "USER=site", "LOGNAME=site", "SHELL=/bin/bash", "LANG=C.UTF-8",
	}, x.Env...)

	ctx, cancel := context.WithCancelCause(ctx)
	defer context.AfterFunc(alive, func() { cancel(context.Cause(alive)) })()
	defer cancel(nil)
	run := runPlain
	if x.TTY {
		run = runTTY
	}
	status, err := run(ctx, c, x)
	if errors.Is(context.Cause(ctx), errStopped) {
		return 0, cloud.Errorf(cloud.Unavailable, "the site stopped while the program ran").WithHint("start it: site start NAME")
	}
	return status, err
}

// enter counts a program as running in the site, until done.
func (e *Engine) enter(ctx context.Context, id string) (alive context.Context, done func(), home string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.sites[id]
	switch {
	case ctx.Err() != nil:
		return nil, nil, "", ctx.Err()
	case e.down:
		return nil, nil, "", away()
	case s == nil || s.server == nil:
		return nil, nil, "", cloud.Errorf(cloud.Conflict, "the site is not running").WithHint("start it: site start NAME")
	}
	s.exec.Add(1)
	return s.alive, s.exec.Done, s.spec.Home, nil
}

func runPlain(ctx context.Context, c *exec.Cmd, x cloud.Exec) (int, error) {
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := newOutlet(x.Stdout)
	if err != nil {
		return 0, err
	}
	complaints, err := newOutlet(x.Stderr)
	if err != nil {
		return 0, err
	}
	c.Stdout, c.Stderr = out.w, complaints.w
	if x.Stdin != nil {
		in, err := c.StdinPipe()
		if err != nil {
			return 0, err
		}
		go func() {
			_, _ = io.Copy(in, x.Stdin)
			_ = in.Close()
		}()
	}
	if err := c.Start(); err != nil {
		return 0, err
	}
	var copying sync.WaitGroup
	copying.Go(out.run)
	copying.Go(complaints.run)
	end := attend(ctx, c.Process.Pid, x, nil)
	err = c.Wait()
	killed := end()
	out.exited()
	complaints.exited()
	copied := make(chan struct{})
	go func() { copying.Wait(); close(copied) }()
	if killed {
		select {
		case <-copied:
		case <-time.After(drain): // the caller's writer blocks
		}
		return 0, ctx.Err()
	}
	<-copied
	if err := errors.Join(out.err, complaints.err); err != nil {
		return 0, err
	}
	return statusOf(c, err)
}

func runTTY(ctx context.Context, c *exec.Cmd, x cloud.Exec) (int, error) {
	terminal, err := pty.StartWithSize(c, &pty.Winsize{Cols: x.Size.Columns, Rows: x.Size.Rows})
	if err != nil {
		return 0, err
	}
	defer terminal.Close()
	if x.Stdin != nil {
		go func() { _, _ = io.Copy(terminal, x.Stdin) }()
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(x.Stdout, terminal)
	}()
	end := attend(ctx, c.Process.Pid, x, terminal)
	err = c.Wait()
	killed := end()
	select {
	case <-drained:
	case <-time.After(drain):
	}
	if killed {
		return 0, ctx.Err()
	}
	return statusOf(c, err)
}

func statusOf(c *exec.Cmd, err error) (int, error) {
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	if w := c.ProcessState.Sys().(syscall.WaitStatus); w.Signaled() {
		return 128 + int(w.Signal()), nil
	}
	return c.ProcessState.ExitCode(), nil
}

// attend serves a running program's signals and sizes, and kills its session when ctx ends. The function
// it returns ends that, and says whether it has killed.
func attend(ctx context.Context, pid int, x cloud.Exec, terminal *os.File) func() bool {
	over, killed := make(chan struct{}), false
	var all sync.WaitGroup
	all.Go(func() {
		resize, signals := x.Resize, x.Signals
		for {
			select {
			case <-over:
				return
			case <-ctx.Done():
				killed = true
				killSession(pid)
				return
			case w, ok := <-resize:
				if !ok {
					resize = nil
				} else if terminal != nil {
					_ = pty.Setsize(terminal, &pty.Winsize{Cols: w.Columns, Rows: w.Rows})
				}
			case name, ok := <-signals:
				if !ok {
					signals = nil
				} else if n := unix.SignalNum("SIG" + name); n != 0 {
					_ = syscall.Kill(-pid, n)
				}
			}
		}
	})
	return func() bool { close(over); all.Wait(); return killed }
}

// killSession ends all processes of a session, politely first.
func killSession(sid int) {
	start := time.Now()
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGCONT} {
		members(sid, func(pid int) { _ = syscall.Kill(pid, s) })
	}
	for members(sid, nil) > 0 {
		if time.Since(start) > polite {
			members(sid, func(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) })
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// members visits the processes of a session that are not dead, and counts them.
func members(sid int, visit func(pid int)) int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	n := 0
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		var state string
		var parent, group, session int
		_, after, _ := strings.Cut(string(b), ") ") // a name may hold ") ": then this is none of ours
		if _, err := fmt.Sscan(after, &state, &parent, &group, &session); err != nil || session != sid || state == "Z" {
			continue
		}
		n++
		if visit != nil {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			visit(pid)
		}
	}
	return n
}
