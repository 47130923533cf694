package main

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// atOnce runs fn n times at once.
func atOnce(n int, fn func(i int) error) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = fn(i) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// fifty is a class that logs in when the lesson begins.
func (s *stage) fifty() ([]row, error) {
	const n = 50
	ours, peer, err := turns(s.runs(10),
		func() error { return atOnce(n, func(int) error { return s.ssh("nuage", "whoami") }) },
		func() error { return atOnce(n, func(int) error { return s.ssh("openssh", "true") }) })
	return []row{{name: "50 `ssh nuage whoami` at once, all done", ours: ours, peer: peer, peerName: "50 `ssh host true`, OpenSSH", goal: 0.4}}, err
}

// awake is a program in a site that runs.
func (s *stage) awake() ([]row, error) {
	if err := s.box(); err != nil {
		return nil, err
	}
	container := output("docker", "ps", "-q", "--filter", "label=nuage.data="+s.path("data"), "--filter", "label=nuage.name=box.localhost")
	ours, peer, err := turns(s.runs(30),
		func() error { return s.ssh("box.localhost@nuage", "true") },
		func() error { return command("docker", "exec", container, "true") })
	return []row{{name: "`ssh box@nuage true`, site awake", ours: ours, peer: peer, peerName: "`docker exec … true`", goal: 1.5}}, err
}

// eight transfers at once, with the gateway's memory meanwhile. The gateway is a new one: memory once used is not given
// back at once.
func (s *stage) eight() ([]row, error) {
	const n = 8
	size := 128 << 20
	if s.quick {
		size = 16 << 20
	}
	stop(s.gateway)
	err := errors.Join(s.startGateway(), s.writeClientConfig(), s.ssh("nuage", "site", "create", "eight", "--type", "static"),
		command("dd", "if=/dev/urandom", "of="+s.path("part"), "bs=1M", "count="+strconv.Itoa(size>>20)))
	if err != nil {
		return nil, err
	}
	var memory sample
	places := map[string]string{"nuage": "/eight.localhost/", "openssh": s.path("theirs-")}
	put := func(host string) error {
		return atOnce(n, func(i int) error {
			return s.sftp(host, fmt.Sprintf("put %s %spart%d", s.path("part"), places[host], i))
		})
	}
	get := func(host string) error {
		return atOnce(n, func(i int) error {
			return s.sftp(host, fmt.Sprintf("get %spart%d %s%d", places[host], i, s.path("back"), i))
		})
	}
	ours := func(do func(host string) error) func() error {
		return func() error {
			mib, err := s.peak(func() error { return do("nuage") })
			memory = append(memory, mib)
			return err
		}
	}
	puts, peerPuts, err := turns(s.runs(5), ours(put), func() error { return put("openssh") })
	if err != nil {
		return nil, err
	}
	gets, peerGets, err := turns(s.runs(5), ours(get), func() error { return get("openssh") })
	name := fmt.Sprintf("8 `sftp` %%s of %d MiB at once, all done", size>>20)
	return []row{
		{name: fmt.Sprintf(name, "puts"), ours: puts, peer: peerPuts, peerName: "OpenSSH's internal-sftp", goal: 1.0},
		{name: fmt.Sprintf(name, "gets"), ours: gets, peer: peerGets, peerName: "OpenSSH's internal-sftp", goal: 1.0},
		{name: "memory of the gateway meanwhile, the most of each turn", ours: memory, peerName: "–", unit: "MiB", goal: 64, absolute: true},
	}, errors.Join(err, command("cmp", s.path("part"), s.path("back7")))
}

// peak is the gateway's largest resident memory in MiB while fn runs.
func (s *stage) peak(fn func() error) (mib float64, err error) {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		kib, failed := s.resident()
		mib = max(mib, float64(kib)/1024)
		select {
		case err := <-done:
			return mib, errors.Join(err, failed)
		case <-tick.C:
		}
	}
}
