package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// restart measures the start with all sites registered, and what the gateway weighs then.
func (p plan) restart(s *stage) error {
	if err := s.restart(fmt.Sprintf("start with %d sites", p.sites)); err != nil {
		return err
	}
	if err := s.visit(name(0)); err != nil {
		return err
	}
	weight := s.gateway()
	row(fmt.Sprintf("memory of the gateway with %d sites", p.sites), mib(weight), "≤ 80 MiB", weight <= 80<<10)
	return nil
}

// restart starts the gateway anew and tells how long that takes.
func (s *stage) restart(what string) error {
	if err := s.stop(); err != nil {
		return err
	}
	began := time.Now()
	if err := s.serve(); err != nil {
		return err
	}
	open := time.Since(began)
	row(what+" until the doors are open", ms(open), "≤ 1 s", open <= time.Second)
	select {
	case <-s.reconciled:
	case <-time.After(patient):
		return fmt.Errorf("the gateway does not say that it has reconciled")
	}
	settled := time.Since(began)
	row(what+" until all are reconciled", ms(settled), "≤ 30 s", settled <= 30*time.Second)
	return nil
}

// wake compares a visit to a sleeping site with a start of the same container by the engine alone, turn by turn.
func (p plan) wake(s *stage) error {
	var ours, theirs []time.Duration
	site := name(0)
	if err := s.visit(site); err != nil { // its container is there from now on
		return err
	}
	k, err := s.container(site)
	if err != nil {
		return err
	}
	for n := 0; n <= p.rounds; n++ {
		if err := s.asleep(site); err != nil {
			return err
		}
		began := time.Now()
		if err := s.visit(site); err != nil {
			return err
		}
		our := time.Since(began)
		if err := s.asleep(site); err != nil {
			return err
		}
		began = time.Now()
		if err := s.post("/containers/" + k.ID + "/start"); err != nil {
			return err
		}
		err := s.answers(site, k.Labels["nuage.address"])
		if errors.Is(err, errStopped) { // by the gateway's look every few minutes, for the site shall sleep
			n--
			continue
		}
		if err != nil {
			return err
		}
		their := time.Since(began)
		if err := s.post("/containers/" + k.ID + "/stop"); err != nil {
			return err
		}
		if n > 0 { // the first turn does not count
			ours, theirs = append(ours, our), append(theirs, their)
		}
	}
	for _, at := range []int{50, 95} {
		a, b := percentile(ours, at), percentile(theirs, at)
		times := a.Seconds() / b.Seconds()
		row(fmt.Sprintf("asleep until the first 200, p%d of %d; `docker start` until 200", at, p.rounds),
			fmt.Sprintf("%s; %s: %.2f ×", ms(a), ms(b), times), "≤ 1.3 ×", times <= 1.3)
	}
	return nil
}

var errStopped = errors.New("it was stopped")

// answers asks a site's container until it answers.
func (s *stage) answers(site, address string) error {
	client := http.Client{Timeout: 10 * time.Second, Transport: s.web.Transport}
	for end := time.Now().Add(client.Timeout); time.Now().Before(end) && s.ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		resp, err := client.Get("http://" + address + ":8080/")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
	}
	if k, err := s.container(site); err == nil && k.State == "exited" {
		return errStopped
	}
	return fmt.Errorf("%s does not answer", address)
}

// crowd sends visitors to one sleeping site at once, and counts its starts.
func (p plan) crowd(s *stage) error {
	if err := s.visit(name(0)); err != nil {
		return err
	}
	if err := s.asleep(name(0)); err != nil {
		return err
	}
	k, err := s.container(name(0))
	if err != nil {
		return err
	}
	since := time.Now().Unix()
	var failed failures
	var all sync.WaitGroup
	for range p.visitors {
		all.Go(func() { failed.note(s.visit(name(0))) })
	}
	all.Wait()
	starts, err := s.starts(k.ID, since)
	row(fmt.Sprintf("%d visitors at once of one sleeping site", p.visitors), fmt.Sprintf("starts: %d, errors: %d", starts, failed.Load()),
		"1 start, no error", starts == 1 && failed.Load() == 0)
	return err
}

// bear visits all running sites once a second, and makes sites meanwhile.
func (p plan) bear(s *stage) error {
	if err := p.prepare(s); err != nil {
		return err
	}
	if err := s.run(p.running); err != nil {
		return err
	}
	if err := s.rest(p.rest); err != nil {
		return err
	}
	calm, err := s.create("calm", p.creates, 0)
	if err != nil {
		return err
	}
	p.created(s, "", calm)
	var visits atomic.Int64
	var failed failures
	var mu sync.Mutex
	var took []time.Duration
	p.warm(s, &failed)
	var all sync.WaitGroup
	end := time.Now().Add(p.visits)
	for n := range p.running {
		all.Go(func() {
			time.Sleep(time.Duration(n) * time.Second / time.Duration(p.running)) // not all in the same moment
			for tick := time.NewTicker(time.Second); time.Now().Before(end) && s.ctx.Err() == nil; <-tick.C {
				began := time.Now()
				failed.note(s.visit(name(n)))
				visits.Add(1)
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
			}
		})
	}
	busy, err := s.create("busy", p.creates, p.visits/time.Duration(p.creates+2))
	all.Wait()
	if err != nil {
		return err
	}
	row(fmt.Sprintf("%d registered, %d running, a visit a second each for %s", p.sites, p.running, p.visits),
		fmt.Sprintf("%d visits, %d errors, p50 %s, p95 %s", visits.Load(), failed.Load(), ms(percentile(took, 50)), ms(percentile(took, 95))),
		"no error", failed.Load() == 0)
	p.created(s, " and are visited", busy)
	row(fmt.Sprintf("memory of the gateway with %d sites, %d running", p.sites, p.running), mib(s.gateway()), "≤ 80 MiB", s.gateway() <= 80<<10)
	return s.restart(fmt.Sprintf("start with %d sites, of which %d run,", p.sites, p.running))
}

// created tells what a create takes while all run, beside one while none does.
func (p plan) created(s *stage, and string, took time.Duration) {
	times := took.Seconds() / s.quiet.Seconds()
	row(fmt.Sprintf("a site create while %d run%s, median of %d, on %d cores", p.running, and, p.creates, runtime.NumCPU()),
		fmt.Sprintf("%s; %s with none: %.2f ×", ms(took), ms(s.quiet), times), "≤ 1.5 ×", times <= 1.5)
}

// warm has PHP begin in all running sites, four at a time: sites that rest are seldom all asked for in the same second, and
// on few cores that would be measured for a minute in place of what follows.
func (p plan) warm(s *stage, failed *failures) {
	names := make(chan string)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for name := range names {
				failed.note(s.visit(name))
			}
		})
	}
	for n := range p.running {
		names <- name(n)
	}
	close(names)
	all.Wait()
}

// prepare makes sites while none runs, to compare with.
func (p plan) prepare(s *stage) (err error) {
	if s.quiet == 0 {
		s.quiet, err = s.create("quiet", p.creates, 0)
	}
	return err
}

// create makes sites and returns the median of the times it takes. The first one makes the network too, and does not count.
func (s *stage) create(label string, times int, pause time.Duration) (time.Duration, error) {
	var took []time.Duration
	for n := range times + 1 {
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
			return 0, s.ctx.Err()
		}
		began := time.Now()
		if _, err := s.ctl(strings.NewReader(""), "site", "create", fmt.Sprintf("%s%d", label, n)); err != nil {
			return 0, err
		}
		if n > 0 {
			took = append(took, time.Since(began))
		}
	}
	return percentile(took, 50), nil
}

// failures counts errors and shows the first ones.
type failures struct{ atomic.Int64 }

func (f *failures) note(err error) {
	if err != nil && f.Add(1) <= 5 {
		fmt.Fprintln(os.Stderr, "density:", err)
	}
}

func percentile(d []time.Duration, p int) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)-1, len(d)*p/100)]
}

func ms(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

func mib(kib int64) string { return fmt.Sprintf("%.1f MiB", float64(kib)/1024) }
