package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

func (w *world) callOptions(command string) gateway.CallOptions {
	host, operator, err := gateway.ReadKeys(w.dir)
	w.must(err)
	return gateway.CallOptions{Address: w.address, HostKey: host, Operator: operator, Command: command}
}

func TestCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	var stdout, stderr bytes.Buffer
	o := w.callOptions("whoami")
	o.Stdout, o.Stderr = &stdout, &stderr
	status, err := gateway.Call(context.Background(), o)
	if status != 0 || err != nil || stderr.Len() > 0 {
		t.Errorf("whoami: %d %v %q", status, err, stderr.String())
	}
	has(t, stdout.String(), "operator")

	o.Command = "frobnicate"
	if status, err := gateway.Call(context.Background(), o); status != cloud.Usage.Exit() || err != nil {
		t.Errorf("unknown command: %d %v", status, err)
	}
	has(t, stderr.String(), "nuage: ", "hint: ")

	stdout.Reset()
	o.Command = ""
	if status, err := gateway.Call(context.Background(), o); status != 0 || err != nil {
		t.Errorf("no command: %d %v", status, err)
	}
	has(t, stdout.String(), "site create")
}

// TestCallTerminal types at the prompt.
func TestCallTerminal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	keyboard, typist := io.Pipe()
	defer typist.Close()
	screen := &syncBuffer{}
	sizes := make(chan cloud.WindowSize, 1)
	o := w.callOptions("")
	o.Stdin, o.Stdout = keyboard, screen
	o.Terminal = &gateway.Terminal{Term: "xterm", Size: cloud.WindowSize{Columns: 80, Rows: 24}, Resize: sizes}
	ended := make(chan int, 1)
	go func() {
		status, err := gateway.Call(context.Background(), o)
		if err != nil {
			t.Error(err)
		}
		ended <- status
	}()
	w.eventually("a prompt", func() bool { return strings.Contains(screen.String(), "nuage") })
	sizes <- cloud.WindowSize{Columns: 100, Rows: 30}
	_, err := io.WriteString(typist, "\x04")
	w.must(err)
	if status := <-ended; status != 0 {
		t.Errorf("status %d", status)
	}
}

func TestCallFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	other := newWorld(t, gateway.Limits{})
	o := w.callOptions("whoami")
	o.HostKey = other.host.PublicKey()
	if _, err := gateway.Call(context.Background(), o); cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("another host key: %v", err)
	}
	o = w.callOptions("whoami")
	o.Operator = other.operator
	if _, err := gateway.Call(context.Background(), o); cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("another operator: %v", err)
	}
	w.must(w.stop())
	if _, err := gateway.Call(context.Background(), w.callOptions("whoami")); cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("nobody there: %v", err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o = other.callOptions("audit -f")
	first := make(chan struct{})
	o.Stdout = writerFunc(func(p []byte) (int, error) {
		select {
		case <-first:
		default:
			close(first)
		}
		return len(p), nil
	})
	go func() {
		<-first
		cancel()
	}()
	if _, err := gateway.Call(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
