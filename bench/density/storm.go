package main

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// storm asks all running sites at rest in the same second, which has PHP begin in each, and makes a site meanwhile.
func (p plan) storm(s *stage) error {
	if err := p.prepare(s); err != nil {
		return err
	}
	if err := s.run(p.running); err != nil {
		return err
	}
	if err := s.rest(p.rest); err != nil {
		return err
	}
	var failed failures
	var again atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	began := time.Now()
	for n := range p.running {
		all.Go(func() {
			failed.note(s.insist(name(n), &again))
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(began))
		})
	}
	made, err := s.create("storm", 1, time.Second)
	all.Wait()
	if err != nil {
		failed.note(err)
	}
	row(fmt.Sprintf("%d running sites at rest, all asked for in the same second", p.running),
		fmt.Sprintf("p50 %s, all %s; told to come again: %d; errors: %d", ms(percentile(took, 50)), ms(percentile(took, 100)), again.Load(), failed.Load()),
		"no error", failed.Load() == 0)
	row("a site create meanwhile", fmt.Sprintf("%s; %s with none: %.2f ×", ms(made), ms(s.quiet), made.Seconds()/s.quiet.Seconds()), "", false)
	return nil
}

// insist visits a site until it answers, and comes again when it is told to.
func (s *stage) insist(site string, again *atomic.Int64) error {
	for {
		err := s.visit(site)
		var told *refusal
		if !errors.As(err, &told) || told.status != http.StatusServiceUnavailable || told.retry <= 0 {
			return err
		}
		again.Add(1)
		if err := s.rest(told.retry); err != nil {
			return err
		}
	}
}

// refusal is an answer that is not a 200.
type refusal struct {
	site   string
	status int
	retry  time.Duration // after which to come again; 0: not said
}

func newRefusal(site string, resp *http.Response) *refusal {
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	return &refusal{site, resp.StatusCode, time.Duration(seconds) * time.Second}
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%s: %d %s", r.site, r.status, http.StatusText(r.status))
}
