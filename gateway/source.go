package gateway

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Penalties that an address earns with a connection that does not log in, after PerSourcePenalties of OpenSSH's
// sshd_config(5). They add up and pass with time. A key that nobody knows costs less than there: no one guesses keys, but
// a class has many who hold the wrong one.
const (
	penaltyFailed = 1 * time.Second  // no key that it showed let it in
	penaltySilent = 1 * time.Second  // it showed none
	penaltyLate   = 10 * time.Second // it used up the time to log in

	penaltyLeast = 15 * time.Second // less than this is not enforced
	penaltyMost  = 10 * time.Minute

	// Who logs in clears the address of others too, and each login lets so much more pass: a class behind one address is
	// not shut out by the few who fail in it.
	creditLogin = 1 * time.Minute
	creditMost  = 10 * time.Minute
	creditKept  = 24 * time.Hour

	maxSources = 65_536
	pruneEvery = 10 * time.Second
)

// sources are the addresses that connections come from, with what they have earned. An address more than maxSources is
// let in without being counted.
type sources struct {
	now     func() time.Time
	trusted []netip.Prefix // are never refused

	mu     sync.Mutex
	known  map[netip.Prefix]*source
	pruned time.Time
}

type source struct {
	until   time.Time // of what it has to sit out
	refused time.Time // until when it is: it sat out less than penaltyLeast otherwise
	credit  time.Duration
	seen    time.Time
}

// Local are the addresses of this host.
func Local() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// sourceOf is what counts as one address: an IPv4 address, or a /64 of IPv6, which one customer has for itself. Not ok
// for what is no address of the internet.
func sourceOf(a net.Addr) (p netip.Prefix, ok bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return p, false
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	return p, err == nil
}

func isLocal(p netip.Prefix) bool { return p.Addr().IsLoopback() }

// isTrusted reports whether the address is exempt.
func (s *sources) isTrusted(p netip.Prefix) bool {
	return slices.ContainsFunc(s.trusted, func(t netip.Prefix) bool { return t.Overlaps(p) })
}

// refuses says for how long an address is still shut out; 0: it is not.
func (s *sources) refuses(a net.Addr) time.Duration {
	p, ok := sourceOf(a)
	if !ok {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if from := s.known[p]; from != nil {
		return max(0, from.refused.Sub(s.now()))
	}
	return 0
}

// punish adds a penalty to what an address has to sit out.
func (s *sources) punish(a net.Addr, penalty time.Duration) {
	s.change(a, func(from *source, now time.Time) {
		spared := min(from.credit, penalty)
		from.credit -= spared
		from.until = latest(from.until, now).Add(penalty - spared)
		if from.until.Sub(now) > penaltyMost {
			from.until = now.Add(penaltyMost)
		}
		if from.until.Sub(now) >= penaltyLeast {
			from.refused = from.until
		}
	})
}

// welcome clears an address that somebody has logged in from.
func (s *sources) welcome(a net.Addr) {
	s.change(a, func(from *source, _ time.Time) {
		from.until, from.refused = time.Time{}, time.Time{}
		from.credit = min(from.credit+creditLogin, creditMost)
	})
}

func (s *sources) change(a net.Addr, fn func(*source, time.Time)) {
	p, ok := sourceOf(a)
	if !ok || s.isTrusted(p) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	from := s.known[p]
	if from == nil {
		if len(s.known) >= maxSources && !s.prune(now) {
			return
		}
		if s.known == nil {
			s.known = map[netip.Prefix]*source{}
		}
		from = &source{}
		s.known[p] = from
	}
	from.seen = now
	fn(from, now)
}

// prune forgets those who have sat out all, and reports whether there is room. Every now and then is enough: it looks at all.
func (s *sources) prune(now time.Time) bool {
	if now.Sub(s.pruned) < pruneEvery {
		return false
	}
	s.pruned = now
	for p, from := range s.known {
		if now.After(from.until) && (from.credit == 0 || now.Sub(from.seen) > creditKept) {
			delete(s.known, p)
		}
	}
	return len(s.known) < maxSources
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
