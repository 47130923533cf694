package gateway_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"plil.net/nuage/cloud"
)

// hostEngine runs the programs of sites as processes of the test's own machine, in the site's home.
type hostEngine struct {
	specs   sync.Map // by id
	running atomic.Int32
	slowUp  atomic.Int64  // nanoseconds
	envs    chan []string // of the last programs
	// instead, if set, runs in place of a program.
	instead func(ctx context.Context, x cloud.Exec) (int, error)

	follow    bool // logs are followed until they are cut
	following atomic.Int32
}

var _ cloud.Engine = (*hostEngine)(nil)

func newHostEngine() *hostEngine { return &hostEngine{envs: make(chan []string, 100)} }

func (e *hostEngine) Name() string                                    { return "docker" }
func (e *hostEngine) Ping(context.Context) error                      { return nil }
func (e *hostEngine) Down(context.Context, string) error              { return nil }
func (e *hostEngine) Remove(context.Context, string) error            { return nil }
func (e *hostEngine) Close() error                                    { return nil }
func (e *hostEngine) List(context.Context) ([]cloud.Container, error) { return nil, nil }
func (e *hostEngine) Tidy(context.Context, []cloud.Container)         {}

func (e *hostEngine) Up(_ context.Context, s cloud.Spec) error {
	time.Sleep(time.Duration(e.slowUp.Load()))
	e.specs.Store(s.ID, s)
	return nil
}

func (e *hostEngine) Update(ctx context.Context, s cloud.Spec, _ func(string) bool) error {
	return e.Up(ctx, s)
}

func (e *hostEngine) ImageID(context.Context, string) string { return "" }

func (e *hostEngine) Logs(ctx context.Context, _ string, o cloud.LogOptions, _, _ io.Writer) error {
	if !e.follow || !o.Follow {
		return nil
	}
	e.following.Add(1)
	defer e.following.Add(-1)
	<-ctx.Done()
	return ctx.Err()
}

func (e *hostEngine) Dial(ctx context.Context, _, network, address string) (cloud.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, cloud.Errorf(cloud.Unavailable, "nothing in the site answers at %q", address).Because(err)
	}
	return conn.(cloud.Conn), nil
}

func (e *hostEngine) Listen(_ context.Context, id string) (net.Listener, error) {
	dir, err := os.MkdirTemp("", "agent-")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", filepath.Join(dir, "agent"))
	if err != nil {
		return nil, err
	}
	found, _ := e.specs.Load(id)
	uid := found.(cloud.Spec).UID
	return hostListener{l, dir}, errors.Join(os.Chown(dir, uid, uid), os.Chown(l.Addr().String(), uid, uid))
}

type hostListener struct {
	net.Listener
	dir string
}

func (l hostListener) Close() error { return errors.Join(l.Listener.Close(), os.RemoveAll(l.dir)) }

func (e *hostEngine) Watch(ctx context.Context, ready func(), _ func(string, func() bool)) error {
	ready()
	<-ctx.Done()
	return ctx.Err()
}

func (e *hostEngine) Exec(ctx context.Context, id string, x cloud.Exec) (int, error) {
	e.running.Add(1)
	defer e.running.Add(-1)
	select {
	case e.envs <- x.Env:
	default:
	}
	if e.instead != nil {
		return e.instead(ctx, x)
	}
	found, _ := e.specs.Load(id)
	spec := found.(cloud.Spec)
	cmd := exec.Command(x.Argv[0], x.Argv[1:]...)
	cmd.Dir = spec.Home
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(spec.UID), Gid: uint32(spec.UID)}
	}
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "PS1=$ "}, x.Env...)
	if x.TTY {
		return runTTY(ctx, cmd, x)
	}
	return runPiped(ctx, cmd, x)
}

func runPiped(ctx context.Context, cmd *exec.Cmd, x cloud.Exec) (int, error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	cmd.Stdout, cmd.Stderr = x.Stdout, x.Stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() {
		_, _ = io.Copy(stdin, x.Stdin)
		stdin.Close()
	}()
	return wait(ctx, cmd, x, func(cloud.WindowSize) {})
}

func runTTY(ctx context.Context, cmd *exec.Cmd, x cloud.Exec) (int, error) {
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: x.Size.Rows, Cols: x.Size.Columns})
	if err != nil {
		return 0, err
	}
	defer terminal.Close()
	go func() { _, _ = io.Copy(terminal, x.Stdin) }()
	var output sync.WaitGroup
	output.Go(func() { _, _ = io.Copy(x.Stdout, terminal) })
	status, err := wait(ctx, cmd, x, func(s cloud.WindowSize) {
		_ = pty.Setsize(terminal, &pty.Winsize{Rows: s.Rows, Cols: s.Columns})
	})
	output.Wait()
	return status, err
}

func wait(ctx context.Context, cmd *exec.Cmd, x cloud.Exec, resize func(cloud.WindowSize)) (int, error) {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case <-ctx.Done():
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
			return 0, ctx.Err()
		case size := <-x.Resize:
			resize(size)
		case name := <-x.Signals:
			_ = syscall.Kill(-cmd.Process.Pid, unix.SignalNum("SIG"+name))
		case err := <-ended:
			return exitStatus(err)
		}
	}
}

func exitStatus(err error) (int, error) {
	var exit *exec.ExitError
	if err == nil || !errors.As(err, &exit) {
		return 0, err
	}
	if s := exit.Sys().(syscall.WaitStatus); s.Signaled() {
		return 128 + int(s.Signal()), nil
	}
	return exit.ExitCode(), nil
}
