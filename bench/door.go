package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// door measures the SSH door where many come at once.
func (s *stage) door() ([]row, error) {
	key, err := os.ReadFile(s.path("key"))
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return nil, err
	}
	me, err := user.Current() // whose name counts for sshd alone
	if err != nil {
		return nil, err
	}
	known := &ssh.ClientConfig{
		User: me.Username, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 20 * time.Second,
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519}, // what OpenSSH's client takes first; Go's would take RSA
	}
	knocks, err1 := s.knocked(known)
	logins, err2 := s.loginsPerSecond(known)
	memory, err3 := s.halfOpen()
	return slices.Concat(knocks, logins, memory), errors.Join(err1, err2, err3)
}

// loginOnce is a whole login of a client in this process.
func loginOnce(port string, known *ssh.ClientConfig) error {
	c, err := ssh.Dial("tcp", "127.0.0.1:"+port, known)
	if err != nil {
		return err
	}
	return c.Close()
}

// knocked compares the slow end of logins while others knock with that of quiet ones.
func (s *stage) knocked(known *ssh.ClientConfig) ([]row, error) {
	const perSecond = 200
	var loud, quiet sample
	for range s.runs(5) {
		q, err := p95(100, func() error { return loginOnce(s.sshPort, known) })
		if err != nil {
			return nil, err
		}
		ctx, stop := context.WithCancel(context.Background())
		var knocking sync.WaitGroup
		knocking.Go(func() { knock(ctx, s.sshPort, perSecond) })
		time.Sleep(3 * time.Second) // until there are as many as there will be
		l, err := p95(100, func() error { return loginOnce(s.sshPort, known) })
		stop()
		knocking.Wait()
		if err != nil {
			return nil, fmt.Errorf("while %d a second knock: %w", perSecond, err)
		}
		quiet, loud = append(quiet, q), append(loud, l)
	}
	return []row{{
		name: fmt.Sprintf("a login, 95th percentile of 100, while %d connections a second knock and never log in", perSecond),
		ours: loud, peer: quiet, peerName: "while it is quiet", goal: 2,
	}}, nil
}

// p95 is the 95th percentile of n runs, in seconds.
func p95(n int, fn func() error) (float64, error) {
	var all sample
	for range n {
		seconds, err := timed(fn)
		if err != nil {
			return 0, err
		}
		all = append(all, seconds)
	}
	return slices.Sorted(slices.Values(all))[n*95/100], nil
}

// knock opens connections that say what they are and no more, until ctx ends.
func knock(ctx context.Context, port string, perSecond int) {
	var open sync.WaitGroup
	defer open.Wait()
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		open.Go(func() {
			c, err := halfOpened(port)
			if err != nil {
				return
			}
			defer context.AfterFunc(ctx, func() { c.Close() })()
			defer c.Close()
			_, _ = c.Read(make([]byte, 1<<16))
			for err == nil { // until the gateway has had enough of it
				_, err = c.Read(make([]byte, 1<<10))
			}
		})
	}
}

func halfOpened(port string) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, 20*time.Second)
	if err != nil {
		return nil, err
	}
	_, err = c.Write([]byte("SSH-2.0-knock\r\n"))
	return c, err
}

// loginsPerSecond lets eight clients log in as fast as they can, at both sides in turn.
func (s *stage) loginsPerSecond(known *ssh.ClientConfig) ([]row, error) {
	var ours, peer sample
	for range s.runs(5) {
		for _, side := range []struct {
			port string
			into *sample
		}{{s.sshPort, &ours}, {s.sshdPort, &peer}} {
			rate, err := rateOf(8, s.loadTime(), func() error { return loginOnce(side.port, known) })
			if err != nil {
				return nil, err
			}
			*side.into = append(*side.into, rate)
		}
	}
	return []row{{
		name: "logins a second with a known key, 8 clients on the same cores", ours: ours, peer: peer, peerName: "OpenSSH's sshd",
		unit: "/s", goal: 5, more: true,
	}}, nil
}

func rateOf(workers int, d time.Duration, fn func() error) (float64, error) {
	var done atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	start := time.Now()
	for range workers {
		all.Go(func() {
			for time.Since(start) < d && failed.Load() == nil {
				if err := fn(); err != nil {
					failed.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(done.Load()) / time.Since(start).Seconds(), nil
}

const leftWithin = 3 * time.Minute // the Go runtime collects at least every two

// halfOpen is the gateway's memory under connections that never log in, and how much of it is left when they are gone.
func (s *stage) halfOpen() ([]row, error) {
	const connections = 5000
	var under, after sample
	for range s.runs(3) {
		stop(s.gateway)
		if err := errors.Join(s.startGateway(), s.writeClientConfig()); err != nil {
			return nil, err
		}
		before, err := s.resident()
		if err != nil {
			return nil, err
		}
		var open []net.Conn
		most := 0
		for i := range connections {
			c, err := halfOpened(s.sshPort)
			if c != nil {
				open = append(open, c)
			}
			if now, err := s.resident(); i%100 == 0 && err == nil {
				most = max(most, now)
			}
			if err != nil && i == 0 {
				return nil, err
			}
		}
		for _, c := range open {
			c.Close()
		}
		left := most
		_ = until(leftWithin, func() error {
			if left, err = s.resident(); err == nil && left > before+8<<10 {
				err = errors.New("not yet")
			}
			return err
		})
		under, after = append(under, float64(most)/1024), append(after, float64(left-before)/1024)
	}
	return []row{
		{name: "memory under 5,000 half-open connections", ours: under, peerName: "–", unit: "MiB", goal: 128, absolute: true},
		{name: "of that, left within 3 minutes after they are gone", ours: after, peerName: "–", unit: "MiB", goal: 16, absolute: true},
	}, nil
}
