package acme

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"golang.org/x/net/publicsuffix"
)

const (
	obtainTime  = 2 * time.Minute
	obtainsOnce = 4
	lookEvery   = 10 * time.Minute // whether hosts are still allowed
	longestWait = 24 * time.Hour   // of a host that fails again and again
	enoughWait  = time.Hour        // of all names of a domain, once the authority says that it has issued enough
	enoughAll   = 3                // domains that it says so of, for it to mean everybody
)

// wants are the hosts that shall have a certificate of their own, each tried once at a time: twice as long after each
// failure as after the one before.
type wants struct {
	mu     sync.Mutex
	hosts  map[string]*want
	paused map[string]time.Time // by domain that somebody registered: until when none of its names is tried
	come   chan struct{}        // somebody may be due
}

type want struct {
	failures int
	next     time.Time // when to try
	busy     bool      // being tried
	held     bool      // it has one, which is renewed by itself
	gone     bool      // not allowed any more; kept until next, so that who takes a host away and adds it again gains no try
}

func newWants() wants {
	return wants{hosts: map[string]*want{}, paused: map[string]time.Time{}, come: make(chan struct{}, 1)}
}

func (w *wants) add(host string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch h := w.hosts[host]; {
	case h == nil:
		w.hosts[host] = &want{}
	case h.gone:
		h.gone = false
	default:
		return
	}
	select {
	case w.come <- struct{}{}:
	default:
	}
}

// due takes a host whose turn it is, else says for how long there is none.
func (w *wants) due(now time.Time) (host string, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.paused, func(_ string, until time.Time) bool { return !now.Before(until) })
	if len(w.paused) >= enoughAll {
		return "", lookEvery
	}
	wait = lookEvery
	for name, h := range w.hosts {
		next := latest(h.next, w.paused[registered(name)])
		switch {
		case h.busy || h.held || h.gone:
		case next.After(now):
			wait = min(wait, next.Sub(now))
		default:
			h.busy = true
			return name, 0
		}
	}
	return "", wait
}

// registered is the domain that authorities count a host under.
func registered(host string) string {
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return host
	}
	return domain
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// tried notes what came of it. An authority that has issued enough for a domain, of which one person may have made up any
// number of names, refuses its other names too; one that says so of several has issued enough for us.
func (w *wants) tried(host string, now time.Time, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.hosts[host]
	if h == nil {
		return // no longer wanted
	}
	h.busy, h.held = false, err == nil
	if err == nil {
		h.failures = 0
		return
	}
	h.next = now.Add(min(retryEvery<<min(h.failures, 10), longestWait))
	h.failures++
	var said acme.Problem
	if errors.As(err, &said) && said.Type == acme.ProblemTypeRateLimited {
		w.paused[registered(host)] = now.Add(enoughWait)
	}
}

// drop leaves the hosts that are not allowed any more alone, and forgets them once they could be tried again.
func (w *wants) drop(now time.Time, allowed func(string) bool) (gone []certmagic.SubjectIssuer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, h := range w.hosts {
		if h.busy || !h.gone && allowed(name) {
			continue
		}
		if !h.gone {
			gone = append(gone, certmagic.SubjectIssuer{Subject: name})
		}
		if h.gone, h.held = true, false; !h.next.After(now) {
			delete(w.hosts, name)
		}
	}
	return gone
}

// obtainAll gets what is wanted until ctx ends.
func (i *Issuer) obtainAll(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	slots := make(chan struct{}, obtainsOnce)
	for ctx.Err() == nil {
		i.cache.RemoveManaged(i.wants.drop(time.Now(), i.Allowed))
		host, wait := i.wants.due(time.Now())
		if host != "" {
			slots <- struct{}{}
			all.Go(func() {
				defer func() { <-slots }()
				i.wants.tried(host, time.Now(), i.obtain(ctx, host))
			})
			continue
		}
		select {
		case <-i.wants.come:
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// obtain gets a host's certificate, unless it is there already, and has it renewed from now on.
func (i *Issuer) obtain(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, obtainTime)
	defer cancel()
	if _, err := i.single.CacheManagedCertificate(ctx, host); err == nil {
		return nil
	}
	if err := i.single.ObtainCertSync(ctx, host); err != nil {
		return err
	}
	_, err := i.single.CacheManagedCertificate(ctx, host)
	return err
}
