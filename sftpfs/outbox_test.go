package sftpfs

import (
	"bytes"
	"errors"
	"sync"
	"testing"
)

// slow takes one Write at a time, when it is let.
type slow struct {
	let    chan struct{}
	mu     sync.Mutex
	got    bytes.Buffer
	writes int
	err    error
}

func (s *slow) Write(p []byte) (int, error) {
	<-s.let
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.err != nil {
		return 0, s.err
	}
	return s.got.Write(p)
}

func TestOutboxJoinsAndKeepsOrder(t *testing.T) {
	t.Parallel()
	s := &slow{let: make(chan struct{})}
	o := newOutbox(s)
	var want bytes.Buffer
	for i := range 1000 {
		piece := bytes.Repeat([]byte{byte(i)}, 1+i%7)
		want.Write(piece)
		if err := o.put(piece, true); err != nil {
			t.Fatal(err)
		}
	}
	close(s.let)
	o.close()
	if !bytes.Equal(s.got.Bytes(), want.Bytes()) {
		t.Error("what came out is not what went in")
	}
	if s.writes > 2 {
		t.Errorf("%d writes for what waited together", s.writes)
	}
}

func TestOutboxTellsOfABrokenClient(t *testing.T) {
	t.Parallel()
	broken := errors.New("gone")
	s := &slow{let: make(chan struct{}), err: broken}
	close(s.let)
	o := newOutbox(s)
	var err error
	for err == nil {
		err = o.put(make([]byte, 1000), true)
	}
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	o.close()
}

// TestOutboxIsBounded: replies wait for a client that takes none.
func TestOutboxIsBounded(t *testing.T) {
	t.Parallel()
	s := &slow{let: make(chan struct{})}
	o := newOutbox(s)
	var taken int
	var mu sync.Mutex
	full := make(chan struct{})
	go func() {
		defer close(full)
		for range 100 {
			if o.put(make([]byte, 64<<10), false) != nil {
				continue
			}
			mu.Lock()
			taken += 64 << 10
			mu.Unlock()
		}
	}()
	s.let <- struct{}{} // the first is on its way: what comes now waits
	mu.Lock()
	if taken > 3*outboxSize+2*(64<<10) { // one is out, the next on its way, and the one after it waits
		t.Errorf("%d bytes wait", taken)
	}
	mu.Unlock()
	close(s.let)
	<-full
	o.close()
	if s.got.Len() != 100*(64<<10) {
		t.Errorf("%d bytes came out", s.got.Len())
	}
}

// TestOutboxSendsAtOnce what the client waits for, and never past what is on its way.
func TestOutboxSendsAtOnce(t *testing.T) {
	t.Parallel()
	s := &slow{let: make(chan struct{}, 3)}
	o := newOutbox(s)
	s.let <- struct{}{}
	if err := o.put([]byte("a"), false); err != nil || s.got.String() != "a" {
		t.Errorf("%q came out at once, %v", s.got.String(), err)
	}
	for _, piece := range []string{"b", "c", "d"} {
		if err := o.put([]byte(piece), piece != "d"); err != nil {
			t.Fatal(err)
		}
	}
	s.let <- struct{}{}
	s.let <- struct{}{}
	o.close()
	if s.got.String() != "abcd" {
		t.Errorf("%q came out", s.got.String())
	}
	s.err = errors.New("gone")
	o = newOutbox(s)
	close(s.let)
	_ = o.put([]byte("e"), false)
	if err := o.put([]byte("f"), true); !errors.Is(err, s.err) {
		t.Errorf("error after an error %v", err)
	}
	o.close()
}
