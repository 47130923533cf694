package cloud

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// run shares a run and waits for what comes of it.
func (p *publishing) run(ctx context.Context, fn func() error) error {
	served, err := p.share(ctx, func() func(context.Context) error {
		err := fn()
		return func(context.Context) error { return err }
	})
	if err != nil {
		return err
	}
	return served(ctx)
}

// TestPublishingIsShared by all who come while one is at it, and each sees a run that began after it came.
func TestPublishingIsShared(t *testing.T) {
	t.Parallel()
	var p publishing
	var state, runs atomic.Int64
	begun, gate := make(chan struct{}, 100), make(chan struct{})
	slow := func() error { begun <- struct{}{}; <-gate; return nil }
	var all sync.WaitGroup
	all.Go(func() { _ = p.run(t.Context(), slow) })
	<-begun
	const n = 50
	var seen atomic.Int64
	for range n {
		all.Go(func() {
			state.Add(1)
			_ = p.run(t.Context(), func() error {
				runs.Add(1)
				seen.Store(state.Load())
				return nil
			})
		})
	}
	for state.Load() < n {
	}
	close(gate)
	all.Wait()
	if seen.Load() != n || runs.Load() >= n {
		t.Errorf("%d runs, the last saw %d of %d", runs.Load(), seen.Load(), n)
	}
}

func TestPublishingTellsAllWhatFailed(t *testing.T) {
	t.Parallel()
	var p publishing
	failure := errors.New("refused")
	begun, gate := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { _ = p.run(t.Context(), func() error { close(begun); <-gate; return nil }) })
	<-begun
	for range 10 {
		all.Go(func() {
			if err := p.run(t.Context(), func() error { return failure }); err != failure {
				t.Errorf("got %v", err)
			}
		})
	}
	for waiting := false; !waiting; {
		p.mu.Lock()
		waiting = p.next != nil
		p.mu.Unlock()
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.run(gone, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("who left is told %v", err)
	}
	close(gate)
	all.Wait()
	if err := p.run(t.Context(), func() error { return nil }); err != nil {
		t.Errorf("after it: %v", err)
	}
}
