package command

import (
	"bytes"
	"context"
	"io"
	"sync"
)

// keyboard keeps what was typed, in order, until somebody reads it: a line editor, a program in a site, then the
// editor again. It is read all the time, so that Ctrl-C is seen while a command runs.
type keyboard struct {
	mu        sync.Mutex
	typed     []byte
	err       error         // of the stream, after what was typed
	interrupt func()        // told of Ctrl-C; where nil, it is a byte like others
	changed   chan struct{} // closed at each change
}

const (
	ctrlC    = 0x03
	maxTyped = 64 << 10 // bytes; then the client waits
)

func newKeyboard() *keyboard { return &keyboard{changed: make(chan struct{})} }

// pump reads until r fails or the keyboard is closed.
func (k *keyboard) pump(r io.Reader) {
	chunk := make([]byte, 4<<10)
	for k.room() {
		n, err := r.Read(chunk)
		k.add(chunk[:n], err)
	}
}

// room waits until more may be typed, and reports whether the stream goes on.
func (k *keyboard) room() bool {
	k.mu.Lock()
	for k.err == nil && k.interrupt == nil && len(k.typed) >= maxTyped {
		k.wait(context.Background())
	}
	defer k.mu.Unlock()
	return k.err == nil
}

func (k *keyboard) add(p []byte, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return
	}
	k.err = err
	if k.interrupt != nil && len(k.typed) >= maxTyped && bytes.IndexByte(p, ctrlC) < 0 {
		p = nil // nobody reads: only Ctrl-C is listened for, as a full terminal does
	}
	k.typed = append(k.typed, p...)
	k.scan()
	k.notify()
}

// scan looks for Ctrl-C while somebody wants to know. What was typed before it is dropped, as a terminal does.
func (k *keyboard) scan() {
	i := bytes.LastIndexByte(k.typed, ctrlC)
	if k.interrupt == nil || i < 0 {
		return
	}
	k.typed = k.typed[i+1:]
	tell := k.interrupt
	k.interrupt = nil
	tell()
}

// onInterrupt says whom to tell of the next Ctrl-C, and returns who was told before.
func (k *keyboard) onInterrupt(tell func()) (before func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before, k.interrupt = k.interrupt, tell
	k.scan()
	k.notify()
	return before
}

func (k *keyboard) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		k.err = io.EOF
	}
	k.notify()
}

// notify wakes all who wait. k.mu is held.
func (k *keyboard) notify() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// wait gives k.mu away until something changed or ctx ended.
func (k *keyboard) wait(ctx context.Context) {
	changed := k.changed
	k.mu.Unlock()
	select {
	case <-changed:
	case <-ctx.Done():
	}
	k.mu.Lock()
}

// reader reads what is typed, until ctx ends: from then on it takes no byte.
func (k *keyboard) reader(ctx context.Context) io.Reader { return typing{k, ctx} }

type typing struct {
	k   *keyboard
	ctx context.Context
}

func (t typing) Read(p []byte) (int, error) {
	k := t.k
	k.mu.Lock()
	defer k.mu.Unlock()
	for t.ctx.Err() == nil && len(k.typed) == 0 && k.err == nil {
		k.wait(t.ctx)
	}
	switch {
	case t.ctx.Err() != nil:
		return 0, t.ctx.Err()
	case len(k.typed) == 0:
		return 0, k.err
	}
	n := copy(p, k.typed)
	k.typed = k.typed[n:]
	k.notify()
	return n, nil
}

// bytewise feeds a line editor one byte at a time: so it never holds a byte that comes after its line. Ctrl-C is an
// error of its own, since the editor takes it for the end of the input.
type bytewise struct{ r io.Reader }

func (b bytewise) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, errInterrupted // the editor's buffer is full of an escape sequence that never ends
	}
	n, err := b.r.Read(p[:1])
	if n == 1 && p[0] == ctrlC {
		return 0, errInterrupted
	}
	return n, err
}
