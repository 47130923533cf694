package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
)

// CallOptions are what "nuage ctl" needs to run a command: see ReadKeys for the keys.
type CallOptions struct {
	Address  string // of the SSH door
	HostKey  ssh.PublicKey
	Operator ssh.Signer

	Command        string // "": the prompt with a Terminal, else help
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Terminal       *Terminal // nil: none
}

// Terminal is the caller's own, which it has put into raw mode. Resize may be nil.
type Terminal struct {
	Term   string
	Size   cloud.WindowSize
	Resize <-chan cloud.WindowSize
}

const dialTime = 20 * time.Second

// Call runs a command at a gateway as the operator and returns its exit status. It is an SSH client like any other.
// When ctx ends it hangs up. Call may go on reading Stdin after it has returned, as nothing can end a read of a
// terminal. Errors are Unavailable: no gateway answers there, or the connection broke.
func Call(ctx context.Context, o CallOptions) (status int, err error) {
	client, err := dial(ctx, o)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	session, err := client.NewSession()
	if err != nil {
		return 0, broken(ctx, err)
	}
	session.Stdout, session.Stderr = o.Stdout, o.Stderr
	stdin, err := session.StdinPipe()
	if err != nil {
		return 0, broken(ctx, err)
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	ended := make(chan struct{})
	defer close(ended)
	if err := start(session, o); err != nil {
		return 0, broken(ctx, err)
	}
	go pass(stdin, o.Stdin)
	if o.Terminal != nil {
		watching.Go(func() { resize(session, o.Terminal.Resize, ended) })
	}
	return exitStatus(ctx, session.Wait())
}

func dial(ctx context.Context, o CallOptions) (*ssh.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", o.Address)
	if err != nil {
		return nil, cloud.Errorf(cloud.Unavailable, "no gateway answers at %q", o.Address).
			WithHint("start it: nuage serve").Because(err)
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	conn, channels, requests, err := ssh.NewClientConn(raw, o.Address, &ssh.ClientConfig{
		User: cloud.Operator, Auth: []ssh.AuthMethod{ssh.PublicKeys(o.Operator)},
		HostKeyCallback: ssh.FixedHostKey(o.HostKey), HostKeyAlgorithms: []string{o.HostKey.Type()},
	})
	if err != nil {
		raw.Close()
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return nil, cloud.Errorf(cloud.Unavailable, "the gateway at %q closed the connection", o.Address).
				WithHint("it may be stopping, or have too many connections; try again").Because(err)
		}
		return nil, cloud.Errorf(cloud.Unavailable, "what answers at %q is not the gateway of this data directory", o.Address).
			WithHint("check --data and the address").Because(err)
	}
	return ssh.NewClient(conn, channels, requests), nil
}

func start(session *ssh.Session, o CallOptions) error {
	if t := o.Terminal; t != nil {
		if err := session.RequestPty(t.Term, int(t.Size.Rows), int(t.Size.Columns), ssh.TerminalModes{}); err != nil {
			return err
		}
	}
	if o.Command == "" {
		return session.Shell()
	}
	return session.Start(o.Command)
}

func pass(to io.WriteCloser, from io.Reader) {
	if from != nil {
		_, _ = io.Copy(to, from)
	}
	to.Close()
}

func resize(session *ssh.Session, sizes <-chan cloud.WindowSize, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case size := <-sizes:
			_ = session.WindowChange(int(size.Rows), int(size.Columns))
		}
	}
}

func exitStatus(ctx context.Context, err error) (int, error) {
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		return exit.ExitStatus(), nil
	}
	return 0, broken(ctx, err)
}

func broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return cloud.Errorf(cloud.Unavailable, "the connection to the gateway broke").WithHint("try again").Because(err)
}
