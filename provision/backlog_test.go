package provision

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
)

func TestBacklogKeepsTheOrder(t *testing.T) {
	t.Parallel()
	sent := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(sent)
	broken := errors.New("broken")
	var all atomic.Int64
	b := newBacklog(io.MultiReader(iotest.HalfReader(bytes.NewReader(sent)), iotest.ErrReader(broken)), &all)
	got := make([]byte, 100)
	if _, err := io.ReadFull(b, got); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Go(func() { b.take(backlogLimit) })
	rest, err := io.ReadAll(b)
	both.Wait()
	if got = append(got, rest...); !errors.Is(err, broken) || !bytes.Equal(got, sent) {
		t.Errorf("%v, %d bytes, want %d", err, len(got), len(sent))
	}
	if b.behind() || all.Load() != 0 {
		t.Errorf("behind %t, %d bytes kept", b.behind(), all.Load())
	}
}

// TestBacklogReadsAhead would deadlock if take waited for the reader.
func TestBacklogReadsAhead(t *testing.T) {
	t.Parallel()
	var all atomic.Int64
	b := newBacklog(bytes.NewReader(make([]byte, 1<<20)), &all)
	if !b.behind() {
		t.Error("not behind with all still to read")
	}
	b.take(backlogLimit)
	if all.Load() != 1<<20 || b.behind() {
		t.Errorf("%d bytes kept, behind %t", all.Load(), b.behind())
	}
	if n, err := io.Copy(io.Discard, b); n != 1<<20 || err != nil || all.Load() != 0 {
		t.Errorf("%d bytes, %v, %d kept", n, err, all.Load())
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestBacklogIsBounded(t *testing.T) {
	t.Parallel()
	var all atomic.Int64
	for range 20 {
		b := newBacklog(endless{}, &all)
		b.take(backlogLimit)
		b.take(backlogAhead)
		if n := b.kept.Len(); n > backlogLimit+32<<10 {
			t.Errorf("%d bytes of one session", n)
		}
		defer func() {
			if b.drop(); b.kept.Len() != 0 {
				t.Error("kept what was dropped")
			}
		}()
	}
	if n := all.Load(); n < backlogsLimit || n > backlogsLimit+32<<10 {
		t.Errorf("%d bytes of all sessions", n)
	}
}
