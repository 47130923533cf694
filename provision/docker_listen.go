package provision

import (
	"context"
	"crypto/rand"
	"net"
	"os"
	"path"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// listening is a socket in a container, in a directory of its own.
type listening struct {
	net.Listener
	path   string
	remove func()
	once   sync.Once
}

// removeLimit is the time to remove a socket whose session is over.
const removeLimit = 5 * time.Second

// Listen implements cloud.Engine.
func (d *Docker) Listen(ctx context.Context, id string) (net.Listener, error) {
	dir := path.Join("/tmp", "ssh-"+rand.Text()) // as sshd(8) names it
	at := path.Join(dir, "agent")
	var socket *os.File
	err := d.inside(ctx, id, func() (err error) {
		if err := unix.Mkdir(dir, 0o700); err != nil {
			return &os.PathError{Op: "mkdir", Path: dir, Err: err}
		}
		unix.Umask(0o177) // of this thread alone
		if socket, err = bind(at); err != nil {
			_ = unix.Rmdir(dir)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	defer socket.Close() // FileListener has its own
	l, err := net.FileListener(socket)
	if err != nil {
		return nil, err
	}
	return &listening{Listener: l, path: at, remove: func() { d.unlink(id, at) }}, nil
}

func bind(at string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: at}); err == nil {
		err = unix.Listen(fd, unix.SOMAXCONN)
	}
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return os.NewFile(uintptr(fd), at), nil
}

// Addr is the path in the container.
func (l *listening) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close ends it, and removes the socket with its directory.
func (l *listening) Close() error {
	err := l.Listener.Close()
	l.once.Do(l.remove)
	return err
}

// unlink removes a socket. One whose container is gone is gone too.
func (d *Docker) unlink(id, at string) {
	ctx, cancel := context.WithTimeout(context.Background(), removeLimit)
	defer cancel()
	err := d.inside(ctx, id, func() error {
		_ = unix.Unlink(at)
		_ = unix.Rmdir(path.Dir(at))
		return nil
	})
	if err != nil {
		d.Log.Debug("socket not removed", "container", containerName(id), "err", err)
	}
}
