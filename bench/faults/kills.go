package main

import "time"

// killAll kills the gateway at random moments, with the real engine.
func (p plan) killAll(s *stage) error { return p.killMany(s, p.kills) }

// killStatic does so with static sites alone, where more happens in a second.
func (p plan) killStatic(s *stage) error {
	s.engine = "none"
	return p.killMany(s, p.kills/4)
}

func (p plan) killMany(s *stage, times int) error {
	if err := s.open(); err != nil {
		return err
	}
	for range times {
		moment := time.Duration(s.chance.Int64N(int64(p.load)))
		s.work(func() {
			time.Sleep(moment)
			s.kill()
		})
		r, err := s.remains()
		if err != nil {
			return err
		}
		cut := r.passages()
		s.tally.add("sites cut in a passage", len(cut))
		serve := s.serve
		if s.chance.IntN(4) == 0 {
			serve = s.serveTwice
		}
		if err := serve(); err != nil {
			return err
		}
		s.settle(cut)
	}
	for _, p := range s.people {
		s.tally.add("sites", len(p.sites))
		s.tally.add("keys", len(p.keys))
	}
	row("the gateway killed, engine "+s.engine, "%d times; acknowledged: %s; in doubt: %s; which turned out done: %s; not done: %s", times,
		s.tally.list("acknowledged: "), s.tally.list("in doubt: "), s.tally.list("turned out done: "), s.tally.list("turned out not done: "))
	row("… refused", "%s", s.tally.list("refused with "))
	row("… sites found in a passage, each told by status", "%d", s.tally.count("sites cut in a passage"))
	row("… what visitors got", "%s; of another site: %d", s.visitors.counts.list(""), len(s.visitors.wrong()))
	row("… longest until the doors were open; until all was well", "%s; %s", s.tally.most("open"), s.tally.most("well again"))
	row("… two gateways started at once", "%d times; the longest until the second had ended with status 1: %s", s.tally.count("second gateways"), s.tally.most("second gateway"))
	row("… lost, orphaned, given twice or unsaid", "%d", len(s.failed))
	return s.verdict()
}
