package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/kballard/go-shellquote"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

func (p *program) ctlCommand() *cobra.Command {
	dir := defaults().Data
	cmd := &cobra.Command{
		Use:   "ctl [--data DIR] COMMAND…",
		Short: "Run a command as the operator of this host, or a prompt if there is none",
		Example: "  nuage ctl help\n" +
			"  nuage ctl account add alice --key - < alice.pub\n" +
			"  nuage ctl status",
		RunE: func(_ *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			status, err := p.ctl(ctx, dir, line(args))
			if err != nil || status == 0 {
				return err
			}
			return exit(status)
		},
	}
	cmd.Flags().StringVar(&dir, "data", dir, "data directory of the gateway")
	cmd.Flags().SetInterspersed(false) // what follows the command is the command's
	return cmd
}

// line is what ssh would send. A single argument is taken as a whole line, as ssh does; several keep their
// borders.
func line(args []string) string {
	if len(args) == 1 {
		return args[0]
	}
	return shellquote.Join(args...)
}

// ctl runs a command line at the door, by the operator's key; what it prints and its status pass through.
func (p *program) ctl(ctx context.Context, dir, line string) (status int, err error) {
	host, operator, err := gateway.ReadKeys(dir)
	if err != nil {
		return 0, err
	}
	at, err := os.ReadFile(filepath.Join(dir, addressFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, cloud.Errorf(cloud.Unavailable, "no gateway runs on %q", dir).WithHint("start it: nuage serve --data %s", dir)
	}
	if err != nil {
		return 0, err
	}
	call := gateway.CallOptions{
		Address: strings.TrimSpace(string(at)), HostKey: host, Operator: operator,
		Command: line, Stdin: p.stdin, Stdout: p.stdout, Stderr: p.stderr,
	}
	if term.IsTerminal(int(os.Stdout.Fd())) && term.IsTerminal(int(p.stdin.Fd())) {
		restore, err := p.raw(ctx, &call)
		if err != nil {
			return 0, err
		}
		defer restore()
	}
	return gateway.Call(ctx, call)
}

// raw gives the person's terminal to the other side: keys go over as they are typed, and so does its size.
func (p *program) raw(ctx context.Context, call *gateway.CallOptions) (restore func(), err error) {
	fd := int(p.stdin.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, err
	}
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	sizes := make(chan cloud.WindowSize)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
			select {
			case sizes <- sizeOf(fd):
			case <-ctx.Done():
				return
			}
		}
	}()
	call.Terminal = &gateway.Terminal{Term: os.Getenv("TERM"), Size: sizeOf(fd), Resize: sizes}
	return func() {
		cancel()
		<-done
		signal.Stop(changed)
		_ = term.Restore(fd, before)
	}, nil
}

func sizeOf(fd int) cloud.WindowSize {
	columns, rows, err := term.GetSize(fd)
	if err != nil {
		return cloud.WindowSize{Columns: 80, Rows: 24}
	}
	return cloud.WindowSize{Columns: uint16(columns), Rows: uint16(rows)}
}
