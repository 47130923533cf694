package provision

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"plil.net/nuage/cloud"
)

const (
	dialEvery = 10 * time.Millisecond
	lookEvery = 100 * time.Millisecond
	lastLines = 10  // of a log
	lastBytes = 256 // of each line
)

// ready waits until the site's web server accepts connections, or with answers until it says something on one of them. The
// container may end before, which saves waiting for the deadline. why is what it failed by.
func (d *Docker) ready(ctx context.Context, s cloud.Spec, id string, answers bool) (why string, err error) {
	deadline := time.Now().Add(d.Ready)
	looked, accepts := time.Now(), false
	for {
		conn, err := d.knock(ctx, s)
		if err == nil {
			accepts = true
			if !answers || speaks(conn, deadline) {
				return "", conn.Close()
			}
			conn.Close()
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if time.Since(looked) >= lookEvery {
			looked = time.Now()
			if why := d.ended(ctx, id); why != "" {
				return why, nil
			}
			switch {
			case looked.Before(deadline):
			case accepts:
				return fmt.Sprintf("its web server accepts connections on port %d, but did not answer within %s", cloud.WebPort, d.Ready), nil
			default:
				return fmt.Sprintf("its web server did not answer on port %d within %s", cloud.WebPort, d.Ready), nil
			}
		}
		if err := pause(ctx, dialEvery); err != nil {
			return "", err
		}
	}
}

// speaksUp waits until a container without a web server has printed something. why is what it failed by.
func (d *Docker) speaksUp(ctx context.Context, id string) (why string, err error) {
	limited, cancel := context.WithTimeout(ctx, d.Ready)
	defer cancel()
	said, err := d.api.ContainerLogs(limited, id, client.ContainerLogsOptions{ShowStdout: true, Follow: true})
	if err == nil {
		defer said.Close()
		_, err = said.Read(make([]byte, 1))
	}
	switch {
	case err == nil:
		return "", nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case limited.Err() != nil:
		return fmt.Sprintf("it was not ready within %s", d.Ready), nil
	}
	if why := d.ended(ctx, id); why != "" {
		return why, nil
	}
	return "", d.explain(err)
}

// speakTime is how long one question to a web server may take, which is then asked again.
const speakTime = time.Second

// speaks asks a question that a web server answers by itself, without a program of the site, and whatever it says is well.
func speaks(conn net.Conn, deadline time.Time) bool {
	limit := time.Now().Add(speakTime)
	if deadline.Before(limit) {
		limit = deadline
	}
	_ = conn.SetDeadline(limit)
	if _, err := io.WriteString(conn, "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return false
	}
	var b [5]byte
	_, err := io.ReadFull(conn, b[:])
	return err == nil && string(b[:]) == "HTTP/"
}

// knock connects to the site's web server. One that is there accepts or refuses at once; an address where nobody is says
// nothing.
func (d *Docker) knock(ctx context.Context, s cloud.Spec) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*lookEvery)
	defer cancel()
	if s.Group.Parent != "" {
		return d.Dial(ctx, s.ID, "tcp", netip.AddrPortFrom(loopback, cloud.WebPort).String())
	}
	return new(net.Dialer).DialContext(ctx, "tcp", netip.AddrPortFrom(s.Address, cloud.WebPort).String())
}

// ended says how the container ended; "" while it runs, or while that cannot be asked.
func (d *Docker) ended(ctx context.Context, id string) string {
	k, err := d.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	switch {
	case errdefs.IsNotFound(err):
		return "its container was removed in the meantime"
	case err != nil, k.Container.State.Running:
		return ""
	case k.Container.State.OOMKilled:
		return "it ran out of memory"
	}
	return fmt.Sprintf("its web server ended with status %d", k.Container.State.ExitCode)
}

// lastWords is the end of the container's log, as an error to keep as a cause. A site writes what it likes there, in lines
// of any length.
func (d *Docker) lastWords(ctx context.Context, id string) error {
	var e excerpt
	if err := d.Logs(ctx, id, cloud.LogOptions{Tail: lastLines}, &e, &e); err != nil {
		return err
	}
	return errors.New(cmp.Or(e.String(), "none"))
}

// excerpt keeps the beginning of each line that is written to it, and no more than lastLines of them. The zero value is
// ready.
type excerpt struct {
	text  []byte
	lines int
	width int // of the line that goes on
}

func (e *excerpt) Write(p []byte) (int, error) {
	for _, b := range p {
		switch {
		case e.lines >= lastLines:
		case b == '\n':
			e.text, e.width = append(e.text, b), 0
			e.lines++
		case e.width < lastBytes:
			e.text = append(e.text, b)
			e.width++
		case e.width == lastBytes:
			e.text = append(e.text, "…"...)
			e.width++
		}
	}
	return len(p), nil
}

func (e *excerpt) String() string {
	return strings.ToValidUTF8(string(bytes.TrimSpace(e.text)), "")
}

// gone waits until a container that is being removed is no more.
func (d *Docker) gone(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, d.Ready)
	defer cancel()
	for {
		_, err := d.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return d.explain(err)
		}
		if err := pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
