package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

const disk = 384 << 20 // bytes, of which the sites need few

// full fills the disk under the data directory, again and again.
func (p plan) full(s *stage) error {
	if err := syscall.Mount("tmpfs", s.data, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", disk)); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	for range p.rounds {
		var failed error
		s.work(func() {
			s.pause(s.load)
			failed = s.fill()
			time.Sleep(s.load)
			failed = errors.Join(failed, os.Remove(s.data+"/fill"))
			s.pause(s.load)
		})
		if failed != nil {
			return failed
		}
		s.settle(nil)
	}
	// and killed while it is full
	var failed error
	s.work(func() {
		failed = s.fill()
		s.pause(s.load)
		s.kill()
	})
	if failed != nil {
		return failed
	}
	err := s.serve()
	if err == nil {
		s.tally.add("opened while full", 1)
	}
	if err := os.Remove(s.data + "/fill"); err != nil {
		return err
	}
	if err != nil {
		s.fail("it does not open while the disk is full: %v", err)
		if err := s.serve(); err != nil {
			return err
		}
	}
	s.forgive()
	s.settle(nil)
	row("… events of the audit that waited for room when it was killed", "%d", s.tally.count("events forgiven"))
	row("the disk filled under load, once killed meanwhile", "%d times; acknowledged: %s", p.rounds+1, s.tally.list("acknowledged: "))
	row("… what people were told", "%s", s.tally.list("told: "))
	row("… refused; cut", "%s; %s", s.tally.list("refused with "), s.tally.list("in doubt: "))
	row("… what visitors got", "%s; of another site: %d", s.visitors.counts.list(""), len(s.visitors.wrong()))
	row("… lost, orphaned or given twice", "%d", len(s.failed))
	return s.verdict()
}

// fill takes what is free to the last byte.
func (s *stage) fill() error {
	f, err := os.OpenFile(s.data+"/fill", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for block := []byte(strings.Repeat("x", 1<<20)); len(block) > 0; {
		n, err := f.Write(block)
		if errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			return err
		}
		_ = n
	}
	return nil
}

// forgive takes what the audit lacks as it is: while the disk is full its events wait in memory, where a kill finds them.
func (s *stage) forgive() {
	r, err := s.records()
	if err != nil {
		s.fail("%v", err)
		return
	}
	for _, p := range s.people {
		for event, n := range p.acks {
			if lost := n - r.events[event]; lost > 0 {
				s.tally.add("events forgiven", lost)
				p.acks[event] = r.events[event]
			}
		}
	}
}
