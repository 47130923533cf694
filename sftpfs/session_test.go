package sftpfs

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"path"
	"strings"
	"testing"

	"github.com/pkg/sftp"
	"plil.net/nuage/cloud"
)

// TestContextEnds ends a session that has files open and a client that waits.
func TestContextEnds(t *testing.T) {
	t.Parallel()
	d, _ := newDisk(t)
	h, err := d.Open(blog)
	do(t, err)
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	var closed []cloud.Transfer
	go func() {
		ended <- Serve(ctx, ours, SiteView(held{Home: h, done: func(t cloud.Transfer) { closed = append(closed, t) }}), Options{})
	}()
	c, err := sftp.NewClientPipe(theirs, theirs)
	do(t, err)
	defer c.Close()
	_, err = c.Create(www + "/f")
	do(t, err)
	why := errors.New("shutting down")
	cancel(why)
	if err := wait(t, ended); err != why {
		t.Errorf("got %v", err)
	}
	if len(closed) != 1 || cloud.KindOf(closed[0].Err) != cloud.Cancelled {
		t.Errorf("closed %+v", closed)
	}
	if _, err := h.Stat("/home/site"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the home is still open: %v", err)
	}
}

// panicky breaks where it is asked to.
type panicky struct{ cloud.Home }

func (p panicky) Lstat(name string) (fs.FileInfo, error) {
	if path.Base(name) == "panic" {
		panic("at the disco")
	}
	if path.Base(name) == "secret" {
		return nil, errors.New("/var/lib/nuage/sites is on fire")
	}
	return p.Home.Lstat(name)
}

func TestPanic(t *testing.T) {
	t.Parallel()
	d, _ := newDisk(t)
	h, err := d.Open(blog)
	do(t, err)
	c := connect(t, SiteView(held{Home: panicky{h}}), Options{})
	_, err = c.Lstat("panic")
	wantStatus(t, err, failure, "our side")
	_, err = c.Lstat("secret")
	wantStatus(t, err, failure, "our side")
	if err != nil && strings.Contains(err.Error(), "nuage") {
		t.Errorf("told of the host: %v", err)
	}
	_, err = c.Lstat("www")
	do(t, err)
}
