package command

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestKeyboardOrder: readers take turns, and each byte goes to one of them in the order it was typed.
func TestKeyboardOrder(t *testing.T) {
	t.Parallel()
	k := newKeyboard()
	k.add([]byte("one\rtwo"), nil)
	b := make([]byte, 16)
	var line strings.Builder
	for !strings.HasSuffix(line.String(), "\r") {
		n, err := bytewise{k.reader(t.Context())}.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		line.Write(b[:n])
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := k.reader(ended).Read(b); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("a reader that ended reads %d bytes, %v", n, err)
	}
	if n, _ := k.reader(t.Context()).Read(b); string(b[:n]) != "two" || line.String() != "one\r" {
		t.Errorf("read %q, then %q", line.String(), b[:n])
	}
	k.add(nil, io.EOF)
	if n, err := k.reader(t.Context()).Read(b); n != 0 || err != io.EOF {
		t.Errorf("at the end it reads %d bytes, %v", n, err)
	}
}

// TestKeyboardFull: a client that types more than anybody reads waits, but its Ctrl-C is heard.
func TestKeyboardFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, "alice", "site create blog")
	p := prompt(t, w, "alice")
	p.types("site logs blog -f\r")
	p.types(strings.Repeat("x", 4*maxTyped))
	p.types("\x03whoami\r")
	p.expect("^C\r\n")
	p.expect("name       alice")

	k := newKeyboard()
	in, keys := io.Pipe()
	done := make(chan struct{})
	go func() { k.pump(in); close(done) }()
	typed := make(chan struct{})
	go func() { defer close(typed); _, _ = keys.Write([]byte(strings.Repeat("y", 4*maxTyped))) }()
	for read, b := 0, make([]byte, 1<<10); read < 4*maxTyped; {
		n, err := k.reader(t.Context()).Read(b)
		if err != nil || strings.Trim(string(b[:n]), "y") != "" {
			t.Fatalf("after %d bytes: %q, %v", read, b[:n], err)
		}
		if k.mu.Lock(); len(k.typed) > 2*maxTyped {
			t.Errorf("%d bytes are kept", len(k.typed))
		}
		k.mu.Unlock()
		read += n
	}
	<-typed
	k.close()
	_ = keys.Close()
	<-done
}
