package main

import (
	"fmt"
	"time"
)

// daemons kills the Docker daemon under load, as a crash would, and starts it again: with live-restore and without, with
// its containerd and without.
func (p plan) daemons(s *stage) error {
	for _, restore := range []bool{true, false} {
		if err := s.restart(restore); err != nil {
			return err
		}
		if s.gateway == nil {
			if err := s.open(); err != nil {
				return err
			}
		}
		began := s.visitors.counts.count("own secret")
		for round := range p.rounds {
			if err := s.outage(round); err != nil {
				return err
			}
		}
		row(fmt.Sprintf("dockerd killed under load, live-restore %v", restore), "%d times; pages told meanwhile and after: %d", p.rounds, s.visitors.counts.count("own secret")-began)
	}
	row("… acknowledged; refused", "%s; %s", s.tally.list("acknowledged: "), s.tally.list("refused with "))
	row("… while it was away: a create of a PHP site", "%s", s.tally.list("php while away: "))
	row("… while it was away: a static site, and a list", "%s", s.tally.list("while away: "))
	row("… what visitors got", "%s; of another site: %d", s.visitors.counts.list(""), len(s.visitors.wrong()))
	row("… longest until all was well once the daemon was back", "%s", s.tally.most("well again"))
	row("… lost, orphaned or given twice", "%d", len(s.failed))
	return s.verdict()
}

// restart ends the daemon in peace and starts it with or without live-restore.
func (s *stage) restart(restore bool) error {
	s.daemon.stop()
	s.daemon.restore = restore
	return s.daemon.start()
}

func (s *stage) outage(round int) error {
	var failed error
	s.work(func() {
		s.pause(s.load)
		s.daemon.kill(round%2 == 1)
		s.away(round)
		s.pause(s.load)
		failed = s.daemon.start()
		s.pause(s.load)
	})
	if failed == nil {
		s.settle(nil)
	}
	return failed
}

func (s *stage) pause(most time.Duration) { time.Sleep(time.Duration(s.chance.Int64N(int64(most)))) }

// away asks for what needs no engine, and for what does.
func (s *stage) away(round int) {
	p := s.people[0]
	for _, ask := range []struct {
		what  string
		words []string
		want  int
	}{
		{"php while away: ", []string{"site", "create", fmt.Sprintf("away%d-%d.%s", round, s.chance.IntN(1e6), domain), "--type", "php"}, 8},
		{"while away: list ", []string{"site", "list"}, 0},
		{"while away: whoami ", []string{"whoami"}, 0},
	} {
		began := time.Now()
		o := p.ask("", ask.words...)
		s.tally.add(fmt.Sprintf("%sstatus %d", ask.what, o.status), 1)
		if s.tally.longest("asked while away", time.Since(began)); o.status != ask.want && o.status != 7 {
			s.fail("%v without a daemon: status %d, not %d: %s", ask.words, o.status, ask.want, o.stderr)
		}
	}
}
