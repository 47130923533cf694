package provision

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/iotest"
)

func TestBacklogKeepsTheOrder(t *testing.T) {
	t.Parallel()
	sent := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(sent)
	broken := errors.New("broken")
	var all backlogs
	b := newBacklog(io.MultiReader(iotest.HalfReader(bytes.NewReader(sent)), iotest.ErrReader(broken)), "blog", &all)
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
	if b.behind() || all.all != 0 {
		t.Errorf("behind %t, %d bytes kept", b.behind(), all.all)
	}
}

// TestBacklogReadsAhead would deadlock if take waited for the reader.
func TestBacklogReadsAhead(t *testing.T) {
	t.Parallel()
	var all backlogs
	b := newBacklog(bytes.NewReader(make([]byte, 1<<20)), "blog", &all)
	if !b.behind() {
		t.Error("not behind with all still to read")
	}
	b.take(backlogLimit)
	if all.all != 1<<20 || b.behind() {
		t.Errorf("%d bytes kept, behind %t", all.all, b.behind())
	}
	if n, err := io.Copy(io.Discard, b); n != 1<<20 || err != nil || all.all != 0 {
		t.Errorf("%d bytes, %v, %d kept", n, err, all.all)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestBacklogIsBounded(t *testing.T) {
	t.Parallel()
	var all backlogs
	take := func(site string) {
		b := newBacklog(endless{}, site, &all)
		b.take(backlogLimit)
		b.take(backlogAhead)
		if n := b.kept.Len(); n > backlogLimit+32<<10 {
			t.Errorf("%d bytes of one session", n)
		}
		t.Cleanup(func() {
			if b.drop(); b.kept.Len() != 0 {
				t.Error("kept what was dropped")
			}
		})
	}
	for range 20 {
		take("blog")
	}
	// The slow clients of one site do not take the room of all: the others' output is not lost.
	if n := all.all; n < backlogsShare || n > backlogsShare+32<<10 {
		t.Errorf("%d bytes of one site", n)
	}
	take("shop")
	if n := all.sites["shop"]; n < backlogLimit {
		t.Errorf("%d bytes of another site", n)
	}
	for n := range 20 {
		take(fmt.Sprint("site", n))
	}
	if n := all.all; n < backlogsLimit || n > backlogsLimit+32<<10 {
		t.Errorf("%d bytes of all sites", n)
	}
}

// TestBacklogOfAClosedConnection: who takes from a daemon that says nothing is let go by the close of the connection, as
// of a program whose child keeps the output open while the client is gone.
func TestBacklogOfAClosedConnection(t *testing.T) {
	t.Parallel()
	ours, daemons := net.Pipe()
	defer daemons.Close()
	var all backlogs
	b := newBacklog(ours, "blog", &all)
	taken := make(chan struct{})
	go func() { b.take(backlogLimit); close(taken) }()
	if _, err := daemons.Write(make([]byte, 1000)); err != nil { // then take waits for more
		t.Fatal(err)
	}
	ours.Close()
	<-taken
	if n, err := io.Copy(io.Discard, b); n != 1000 || !errors.Is(err, io.ErrClosedPipe) || len(all.sites) != 0 {
		t.Errorf("%d bytes, %v, kept %v", n, err, all.sites)
	}
}
