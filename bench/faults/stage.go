package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	domain  = "faults.test"
	patient = time.Minute
)

// stage is a gateway with a data directory of its own, and those who use it.
type stage struct {
	plan
	dir, data string
	daemon    *daemon
	engine    string // docker or none
	network   string
	chance    *rand.Rand
	people    []*person
	visitors  visitors
	log       journal

	gateway *gateway
	ssh     string // ports
	http    string
	failed  []string // what must not be
	tally   tally
}

func newStage(p plan, d *daemon) (*stage, error) {
	dir, err := os.MkdirTemp("", "nuage-faults-*")
	if err != nil {
		return nil, err
	}
	if p.nuage, err = filepath.Abs(p.nuage); err != nil {
		return nil, err
	}
	s := &stage{plan: p, dir: dir, data: dir + "/data", daemon: d, engine: "docker", network: "10.203.0.0/16", chance: rand.New(rand.NewPCG(p.seed, 0))}
	s.visitors.web = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return s, os.Mkdir(s.data, 0o700)
}

// config is short of everything: sites fall asleep in the middle of the work.
func (s *stage) config() error {
	text := fmt.Sprintf("data = %q\ndomain = %q\n[ssh]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\ntls = \"127.0.0.1:0\"\nmax_per_client = 10000\nmax_per_site = 10000\nmax_wakes = 100000\n"+
		"[engine]\nkind = %q\nhost = %q\n[groups.students]\nnetwork = %q\nmax_sites = %d\nidle = \"2s\"\nmax_idle = \"never\"\n", s.data, domain, s.engine, s.daemon.host(), s.network, maxSites)
	return os.WriteFile(s.dir+"/nuage.toml", []byte(text), 0o600)
}

// open starts the gateway and lets people in.
func (s *stage) open() error {
	if err := errors.Join(s.config(), s.serve()); err != nil {
		return err
	}
	for n := range s.plan.people {
		p, err := newPerson(s, n)
		if err != nil {
			return err
		}
		s.people = append(s.people, p)
	}
	return nil
}

func (s *stage) listening(ready string) error {
	for _, field := range strings.Fields(ready)[1:] {
		name, at, _ := strings.Cut(field, "=")
		port := at[strings.LastIndexByte(at, ':')+1:]
		switch name {
		case "ssh":
			s.ssh = port
		case "http":
			s.http = port
		}
	}
	s.visitors.base.Store("http://127.0.0.1:" + s.http)
	for _, p := range s.people {
		if err := p.configure(); err != nil {
			return err
		}
	}
	return nil
}

// ctl runs a command as the operator.
func (s *stage) ctl(stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.nuage, append([]string{"ctl", "--data", s.data}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, said.Bytes())
	}
	return string(out), nil
}

// work lets all people and visitors work until the fault has happened.
func (s *stage) work(fault func()) {
	ctx, over := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, p := range s.people {
		all.Go(func() { p.work(ctx) })
	}
	for n := range 2 {
		all.Go(func() { s.visitors.roam(ctx, s, rand.New(rand.NewPCG(s.seed, uint64(1000+n)))) })
	}
	fault()
	over()
	all.Wait()
}

// note counts what a client was told that was not done.
func (s *stage) note(what string, o outcome) {
	for line := range strings.Lines(o.stderr) {
		if _, words, ok := strings.Cut(strings.TrimSpace(line), "nuage: "); ok {
			s.tally.add("told: "+words, 1)
		}
	}
}

// fail notes what must not be.
func (s *stage) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.failed = append(s.failed, text)
	fmt.Fprintln(os.Stderr, "FAILED:", text)
}

// verdict is the error of a part that saw what must not be.
func (s *stage) verdict() error {
	for _, wrong := range s.visitors.wrong() {
		s.fail("%s", wrong)
	}
	if len(s.failed) == 0 {
		return nil
	}
	return fmt.Errorf("%d times what must not be; seed %d:\n%s", len(s.failed), s.seed, strings.Join(s.failed, "\n"))
}

// clean removes all that the stage made.
func (s *stage) clean() error {
	if s.gateway != nil {
		s.stop()
	}
	var err error
	if s.engine != "none" {
		err = s.sweep()
	}
	_ = syscall.Unmount(s.data, syscall.MNT_DETACH) // where it is a disk of its own
	return errors.Join(err, os.RemoveAll(s.dir))
}

// sweep removes what there is of sites on the engine.
func (s *stage) sweep() error {
	all, err := s.daemon.containers(s.data)
	for _, k := range all {
		err = errors.Join(err, s.daemon.remove(k.ID))
	}
	networks, failed := s.daemon.networks(s.data)
	err = errors.Join(err, failed)
	for _, n := range networks {
		_, failed := s.daemon.docker("network", "rm", n.ID)
		err = errors.Join(err, failed)
	}
	return err
}

// journal keeps the end of what the gateway logged.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	if strings.Contains(line, "msg=login") {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
	if len(j.lines) > 600 {
		j.lines = append([]string{}, j.lines[300:]...)
	}
}

func (j *journal) show() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines[max(0, len(j.lines)-120):] {
		fmt.Fprintln(os.Stderr, line)
	}
}
