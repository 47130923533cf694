package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// drift moves the world below the sites, while visitors ask for them all the time: whatever happens to containers and
// networks, nobody may be told what is not the site's own.
func (p plan) drift(s *stage) error {
	if err := errors.Join(s.restart(true), s.open()); err != nil {
		return err
	}
	for n, person := range s.people {
		for i := range maxSites {
			kind := "php"
			if i == 0 && n%2 == 0 {
				kind = "static"
			}
			if err := person.settleDown(kind); err != nil {
				return err
			}
		}
	}
	moves := []struct {
		what string
		move func() error
	}{
		{"docker restart of all containers", s.restartContainers},
		{"docker kill of all containers", s.killContainers},
		{"dockerd killed, live-restore", func() error { return s.bounce(true, true) }},
		{"dockerd restarted, no live-restore", func() error { return s.bounce(false, false) }},
		{"dockerd killed, no live-restore, foreign containers on the addresses at once", s.squatAfterBounce},
		{"reboot: all containers and networks gone under a running gateway", s.raze},
		{"reboot: gateway killed, all containers and networks gone, gateway started", s.reboot},
		{"gateway killed, containers gone, foreign ones on their addresses, gateway started", s.squatAfterKill},
		{"a foreign container on the address of a site that sleeps", s.squatAsleep},
		{"a new standard image, all sites restarted", s.newImage},
	}
	for round := range max(1, p.rounds/2) {
		for i := range moves {
			m := moves[(i*3+round)%len(moves)] // every one, in another order each time
			if err := s.move(m.what, m.move); err != nil {
				return fmt.Errorf("%s: %w", m.what, err)
			}
		}
	}
	for _, m := range moves {
		row(m.what, "%d times; meanwhile: %s; well again after %s at most", s.tally.count(m.what), s.tally.list("during "+m.what+": "), s.tally.most(m.what))
	}
	row("… answers with a secret that is not the site's own", "%d", len(s.visitors.wrong()))
	return s.verdict()
}

// settleDown makes a site with a page.
func (p *person) settleDown(kind string) error {
	p.number++
	name := fmt.Sprintf("%s-s%d.%s", p.name, p.number, domain)
	if o := p.ask("", "site", "create", name, "--type", kind); o.status != 0 {
		return fmt.Errorf("create: %d %s", o.status, o.stderr)
	}
	p.sites[name] = newClaim(kind)
	if p.swap(name); p.sites[name].secret == "" {
		return errors.New("a page could not be put")
	}
	return nil
}

// move does one thing to the world while visitors come, and waits until all sites tell their own secret again.
func (s *stage) move(what string, do func() error) error {
	before := s.visitors.counts.copy()
	ctx, over := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() { s.visitors.roam(ctx, s, rand.New(rand.NewPCG(s.seed, uint64(2000+n)))) })
	}
	time.Sleep(500 * time.Millisecond)
	began := time.Now()
	err := do()
	if wrong := len(s.failed); err == nil {
		if s.settle(nil); len(s.failed) > wrong {
			fmt.Fprintf(os.Stderr, "… %s after: %s\n", time.Since(began).Round(time.Second), what)
		}
	}
	s.tally.longest(what, time.Since(began))
	over()
	all.Wait()
	s.tally.add(what, 1)
	for kind, n := range s.visitors.counts.copy() {
		s.tally.add("during "+what+": "+kind, n-before[kind])
	}
	return err
}

func (s *stage) restartContainers() error {
	return s.each(func(k container) error { _, err := s.daemon.docker("restart", "-t", "1", k.ID); return err })
}

func (s *stage) killContainers() error {
	return s.each(func(k container) error { _, err := s.daemon.docker("kill", k.ID); return err })
}

// each does something to all containers that run; what has stopped meanwhile does not count.
func (s *stage) each(do func(container) error) error {
	all, err := s.daemon.containers(s.data)
	for _, k := range all {
		if k.State != "running" {
			continue
		}
		if failed := do(k); failed != nil && !strings.Contains(failed.Error(), "is not running") && !strings.Contains(failed.Error(), "No such container") {
			err = errors.Join(err, failed)
		}
	}
	return err
}

func (s *stage) bounce(restore, kill bool) error {
	if s.daemon.restore != restore {
		if err := s.restart(restore); err != nil {
			return err
		}
	}
	if kill {
		s.daemon.kill(s.chance.IntN(2) == 0)
	} else {
		s.daemon.stop()
	}
	s.pause(s.load)
	return s.daemon.start()
}

// raze removes all containers and networks.
func (s *stage) raze() error {
	all, err := s.daemon.containers(s.data)
	for _, k := range all {
		err = errors.Join(err, s.daemon.remove(k.ID))
	}
	networks, failed := s.daemon.networks(s.data)
	err = errors.Join(err, failed)
	for _, n := range networks {
		_, _ = s.daemon.docker("network", "rm", n.ID) // unless the gateway is faster, and uses it
	}
	return err
}

func (s *stage) reboot() error {
	s.kill()
	return errors.Join(s.raze(), s.serve())
}

func (s *stage) squatAfterKill() error {
	addresses, network, err := s.addresses()
	if err != nil {
		return err
	}
	s.kill()
	all, err := s.daemon.containers(s.data)
	for _, k := range all {
		err = errors.Join(err, s.daemon.remove(k.ID))
	}
	if err != nil {
		return err
	}
	squatters, err := s.squat(network, addresses)
	if err := errors.Join(err, s.serve()); err != nil {
		return err
	}
	time.Sleep(3 * time.Second)
	return s.evict(squatters)
}

func (s *stage) squatAfterBounce() error {
	if s.daemon.restore {
		if err := s.restart(false); err != nil {
			return err
		}
	}
	addresses, network, err := s.addresses()
	if err != nil {
		return err
	}
	s.daemon.kill(false)
	if err := s.daemon.start(); err != nil {
		return err
	}
	squatters, err := s.squat(network, addresses)
	if err != nil {
		return err
	}
	time.Sleep(3 * time.Second)
	return s.evict(squatters)
}

func (s *stage) squatAsleep() error {
	_, network, err := s.addresses()
	if err != nil {
		return err
	}
	names := s.siteNames()[:3]
	for _, name := range names {
		s.visitors.part(name) // so that it falls asleep
	}
	var addresses []string
	for end := time.Now().Add(patient); len(addresses) < len(names) && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if addresses, err = s.stopped(names); err != nil {
			return err
		}
	}
	squatters, err := s.squat(network, addresses)
	for _, name := range names {
		s.visitors.back(name)
	}
	if err != nil {
		return err
	}
	time.Sleep(3 * time.Second)
	return s.evict(squatters)
}

// stopped are the addresses of those of the sites whose containers do not run.
func (s *stage) stopped(names []string) (addresses []string, err error) {
	all, err := s.daemon.containers(s.data)
	for _, k := range all {
		if slices.Contains(names, k.Labels["nuage.name"]) && k.State == "exited" {
			addresses = append(addresses, k.Labels["nuage.address"])
		}
	}
	return addresses, err
}

func (s *stage) siteNames() (names []string) {
	for _, p := range s.people {
		for name, k := range p.sites {
			if k.kind == "php" {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// addresses are some of those that sites have, and their network.
func (s *stage) addresses() (some []string, network string, err error) {
	all, err := s.daemon.containers(s.data)
	if err != nil {
		return nil, "", err
	}
	for _, k := range all {
		for name := range k.NetworkSettings.Networks {
			network = name
		}
		if len(some) < 4 {
			some = append(some, k.Labels["nuage.address"])
		}
	}
	return some, network, nil
}

// squat puts foreign web servers on addresses of sites. Where a site is faster the engine refuses, which is as well.
func (s *stage) squat(network string, addresses []string) (ids []string, err error) {
	for _, a := range addresses {
		id, err := s.daemon.docker("run", "-d", "--network", network, "--ip", a, "--entrypoint", "php", image,
			"-r", `file_put_contents("/tmp/i.php", "<?php echo 'secret=f0', 'e19', \"\\n\";"); pcntl_exec("/usr/bin/php", ["-S", "0.0.0.0:8080", "/tmp/i.php"]);`)
		switch {
		case err == nil:
			s.tally.add("squatted", 1)
			ids = append(ids, id[strings.LastIndexByte(id, '\n')+1:])
		case !strings.Contains(err.Error(), "Address already in use"):
			return ids, err
		}
	}
	return ids, nil
}

// evict removes them. The sites that they kept from coming up do so by themselves then.
func (s *stage) evict(ids []string) (err error) {
	for _, id := range ids {
		err = errors.Join(err, s.daemon.remove(id))
	}
	return err
}

// newImage gives the standard image's name to another image, as a new build does, and restarts all sites.
func (s *stage) newImage() error {
	id, err := s.daemon.docker("create", image)
	if err != nil {
		return err
	}
	_, err = s.daemon.docker("commit", "-m", "changed", id, image)
	_, failed := s.daemon.docker("rm", id)
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	for _, p := range s.people {
		for name, k := range p.sites {
			if k.kind != "php" {
				continue
			}
			if o := p.ask("", "site", "restart", name); o.status != 0 {
				return fmt.Errorf("restart %s: %d %s", name, o.status, o.stderr)
			}
		}
	}
	return nil
}
