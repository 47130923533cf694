package proxygen_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen"
)

func table(hosts ...string) (list []cloud.Route) {
	for _, h := range hosts {
		list = append(list, cloud.Route{Host: h})
	}
	return list
}

// slow is a proxy that takes one table at a time, when it is let.
type slow struct {
	let    chan error
	served atomic.Pointer[[]cloud.Route]
	writes atomic.Int64
}

func (s *slow) queue() *proxygen.Queue {
	return &proxygen.Queue{
		Same: func(list []cloud.Route) bool {
			now := s.served.Load()
			return now != nil && fmt.Sprint(*now) == fmt.Sprint(list)
		},
		Write: func(list []cloud.Route) error {
			s.writes.Add(1)
			err := <-s.let
			if err == nil {
				s.served.Store(&list)
			}
			return err
		},
	}
}

// TestQueueJoins: what waits goes as one, the last of it, and each waits for no less than its own.
func TestQueueJoins(t *testing.T) {
	t.Parallel()
	s := &slow{let: make(chan error)}
	q := s.queue()
	first := q.Offer(table("a"))
	for s.writes.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	var all sync.WaitGroup
	for i := range 100 {
		served := q.Offer(table("a", fmt.Sprint(i)))
		all.Go(func() {
			if err := served(t.Context()); err != nil {
				t.Error(err)
			}
			if now := *s.served.Load(); len(now) != 2 || now[1].Host != "99" {
				t.Errorf("it serves %v", now)
			}
		})
	}
	s.let <- nil
	if err := first(t.Context()); err != nil {
		t.Error(err)
	}
	s.let <- nil
	all.Wait()
	if n := s.writes.Load(); n != 2 {
		t.Errorf("%d writes", n)
	}
	if err := q.Offer(table("a", "99"))(t.Context()); err != nil || s.writes.Load() != 2 {
		t.Errorf("what is served already: %v, %d writes", err, s.writes.Load())
	}
}

// TestQueueTells all who wait why their table was refused, and nobody else.
func TestQueueTells(t *testing.T) {
	t.Parallel()
	s := &slow{let: make(chan error)}
	q := s.queue()
	bad := q.Offer(table("bad"))
	s.let <- errors.New("refused")
	if err := bad(t.Context()); err == nil || err.Error() != "refused" {
		t.Errorf("got %v", err)
	}
	good := q.Offer(table("good"))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := good(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("who left is told %v", err)
	}
	s.let <- nil
	if err := good(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestQueueKeepsItsDistance between two writes, however many come.
func TestQueueKeepsItsDistance(t *testing.T) {
	t.Parallel()
	s := &slow{let: make(chan error, 100)}
	for range 100 {
		s.let <- nil
	}
	q := s.queue()
	q.Every = 200 * time.Millisecond
	began := time.Now()
	for i := range 50 {
		served := q.Offer(table(fmt.Sprint(i)))
		if i%10 == 9 {
			if err := served(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	if took, n := time.Since(began), s.writes.Load(); time.Duration(n-1)*q.Every > took {
		t.Errorf("%d writes in %s", n, took)
	}
}
