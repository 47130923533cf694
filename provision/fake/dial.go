package fake

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"plil.net/nuage/cloud"
)

// Dial implements cloud.Engine, on the host: a loopback port is one of the host's.
func (e *Engine) Dial(ctx context.Context, id, network, address string) (cloud.Conn, error) {
	alive, done, _, err := e.enter(ctx, id)
	if err != nil {
		return nil, err
	}
	defer done()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, refused(ctx, err, address)
	}
	// What the container's programs hold ends with it.
	return connection{conn.(cloud.Conn), context.AfterFunc(alive, func() { conn.Close() })}, nil
}

func refused(ctx context.Context, err error, address string) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, fs.ErrNotExist):
		return cloud.Errorf(cloud.NotFound, "there is no socket %q in the site", address).Because(err)
	case errors.Is(err, fs.ErrPermission):
		return cloud.Errorf(cloud.Denied, "the site may not use the socket %q", address).Because(err)
	}
	return cloud.Errorf(cloud.Unavailable, "nothing in the site answers at %q", address).Because(err)
}

type connection struct {
	cloud.Conn
	stop func() bool
}

func (c connection) Close() error {
	c.stop()
	return c.Conn.Close()
}

// Listen implements cloud.Engine.
func (e *Engine) Listen(ctx context.Context, id string) (net.Listener, error) {
	_, done, _, err := e.enter(ctx, id)
	if err != nil {
		return nil, err
	}
	defer done()
	dir, err := os.MkdirTemp("", "ssh-")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", filepath.Join(dir, "agent"))
	if err == nil {
		err = os.Chmod(l.Addr().String(), 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return listening{l, dir}, nil
}

type listening struct {
	net.Listener
	dir string
}

func (l listening) Close() error {
	return errors.Join(l.Listener.Close(), os.RemoveAll(l.dir))
}
