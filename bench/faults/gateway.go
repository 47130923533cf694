package main

import (
	"bufio"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// gateway is one process of nuage.
type gateway struct {
	command *exec.Cmd
	began   time.Time
	ready   chan string   // the line, once
	ended   chan struct{} // closed
	took    time.Duration // once ended
	said    []string      // once ended
}

func (s *stage) launch() (*gateway, error) {
	g := &gateway{command: exec.Command(s.nuage, "serve", "--config", s.dir+"/nuage.toml"), ready: make(chan string, 1), ended: make(chan struct{})}
	out, err := g.command.StderrPipe()
	if err != nil {
		return nil, err
	}
	g.began = time.Now()
	if err := g.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			line := lines.Text()
			if s.log.add(line); len(g.said) < 100 {
				g.said = append(g.said, line)
			}
			if strings.HasPrefix(line, "ready ") {
				g.ready <- line
			}
		}
		_ = g.command.Wait()
		g.took = time.Since(g.began)
		close(g.ended)
	}()
	return g, nil
}

var errEnded = errors.New("the gateway ended at its start")

// serve starts the gateway and returns when its doors are open.
func (s *stage) serve() error {
	g, err := s.launch()
	if err != nil {
		return err
	}
	return s.await(g)
}

func (s *stage) await(g *gateway) error {
	select {
	case line := <-g.ready:
		s.gateway = g
		s.tally.longest("open", time.Since(g.began))
		return s.listening(line)
	case <-g.ended:
		return errEnded
	case <-time.After(patient):
		_ = g.command.Process.Kill()
		return errors.New("the gateway did not get ready")
	}
}

func (s *stage) kill() {
	_ = s.gateway.command.Process.Kill()
	<-s.gateway.ended
}

func (s *stage) stop() {
	_ = s.gateway.command.Process.Signal(syscall.SIGTERM)
	<-s.gateway.ended
}

// serveTwice starts two gateways on the same data: one serves, the other says why not and ends.
func (s *stage) serveTwice() error {
	one, err := s.launch()
	if err != nil {
		return err
	}
	time.Sleep(time.Duration(s.chance.Int64N(int64(60 * time.Millisecond))))
	two, err := s.launch()
	if err != nil {
		return err
	}
	winner, loser := one, two
	select {
	case <-one.ended:
		winner, loser = two, one
	case <-two.ended:
	case <-time.After(patient):
		s.fail("two gateways run on the same data")
	}
	if err := s.await(winner); err != nil {
		return err
	}
	status, text := loser.command.ProcessState.ExitCode(), strings.Join(loser.said, " ")
	if status != 1 || !strings.Contains(text, "another gateway") {
		s.fail("a second gateway ended with status %d: %s", status, text)
	}
	s.tally.add("second gateways", 1)
	s.tally.longest("second gateway", loser.took)
	return nil
}
