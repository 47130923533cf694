package provision

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"plil.net/nuage/cloud"
)

// Dial implements cloud.Engine. The connection is begun inside and waited for outside: no thread stands still for it.
func (d *Docker) Dial(ctx context.Context, id, network, address string) (cloud.Conn, error) {
	family, at, err := socketAddress(network, address)
	if err != nil {
		return nil, err
	}
	var socket *os.File
	err = d.inside(ctx, id, func() (err error) {
		socket, err = connect(family, at)
		return err
	})
	if err != nil {
		return nil, refused(err, address)
	}
	defer socket.Close() // FileConn has its own
	if err := connected(ctx, socket); err != nil {
		return nil, refused(err, address)
	}
	conn, err := net.FileConn(socket)
	if err != nil {
		return nil, err
	}
	return conn.(cloud.Conn), nil
}

// maxSocketPath is the longest path of a Unix socket, unix(7).
const maxSocketPath = 107

func socketAddress(network, address string) (family int, at unix.Sockaddr, err error) {
	switch network {
	case "unix":
		if !strings.HasPrefix(address, "/") || len(address) > maxSocketPath || strings.ContainsRune(address, 0) {
			return 0, nil, cloud.Errorf(cloud.Invalid, "%q is not the path of a socket", address).
				WithHint("write it whole, from /, in at most %d bytes", maxSocketPath)
		}
		return unix.AF_UNIX, &unix.SockaddrUnix{Name: address}, nil
	case "tcp":
		a, err := netip.ParseAddrPort(address)
		if err != nil || a.Port() == 0 || a.Addr().Zone() != "" {
			break
		}
		if ip := a.Addr().Unmap(); ip.Is4() {
			return unix.AF_INET, &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}, nil
		}
		return unix.AF_INET6, &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}, nil
	}
	return 0, nil, cloud.Errorf(cloud.Invalid, "%q is not an address of network %q", address, network)
}

// connect begins a connection.
func connect(family int, to unix.Sockaddr) (*os.File, error) {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Connect(fd, to); err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	return os.NewFile(uintptr(fd), "socket"), nil
}

// connected waits until the connection is made.
func connected(ctx context.Context, socket *os.File) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = socket.SetWriteDeadline(time.Unix(1, 0)) })()
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		if n, err := unix.Poll(poll, 0); n == 0 || err == unix.EINTR {
			return false
		}
		errno, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && errno != 0 {
			err = syscall.Errno(errno)
		}
		failed = err
		return true
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(err, failed)
}

// refused says why a connection was not made. What is unexpected stays as it is.
func refused(err error, address string) error {
	var known *cloud.Error
	switch {
	case errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return cloud.Errorf(cloud.NotFound, "there is no socket %q in the site", address).Because(err)
	case errors.Is(err, unix.EACCES):
		return cloud.Errorf(cloud.Denied, "the site may not use the socket %q", address).Because(err)
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err
	}
	return cloud.Errorf(cloud.Unavailable, "nothing in the site answers at %q", address).
		WithHint("start what shall listen there, in a shell of the site").Because(err)
}
