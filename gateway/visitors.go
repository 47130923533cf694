package gateway

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"plil.net/nuage/cloud"
)

// visitors are the people who are at the school's login server. They wait for minutes, so they do not stand in the
// line of logins; how many they may be protects the login server as well. Any key gets as far, so where all places are
// taken, the oldest visit from the address that has the most makes room for who comes from another.
type visitors struct {
	limit, each int // in all, and from one address

	mu  sync.Mutex
	all []*visitor // who came first is first
}

type visitor struct {
	from netip.Prefix
	end  func()
}

// enter counts somebody in until leave; end is called if it has to go before. Unavailable where there are too many.
func (v *visitors) enter(address netip.Prefix, end func()) (leave func(), err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	count := map[netip.Prefix]int{}
	for _, one := range v.all {
		count[one.from]++
	}
	if here := count[address]; here >= v.each {
		return nil, cloud.Errorf(cloud.Unavailable, "%d people are logging in at the school from your address, which is the limit", here).
			WithHint("try again in a few minutes")
	}
	if len(v.all) >= v.limit && !v.makeRoom(count, count[address]+1) {
		return nil, cloud.Errorf(cloud.Unavailable, "%d people are logging in at the school, which is the limit", len(v.all)).WithHint("try again in a few minutes")
	}
	one := &visitor{address, end}
	v.all = append(v.all, one)
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.remove(one)
	}, nil
}

// makeRoom ends the oldest visit of an address with the most visits, if those are more than some.
func (v *visitors) makeRoom(count map[netip.Prefix]int, some int) bool {
	most := 0
	for _, n := range count {
		most = max(most, n)
	}
	if most <= some {
		return false
	}
	gone := v.all[slices.IndexFunc(v.all, func(one *visitor) bool { return count[one.from] == most })]
	v.remove(gone)
	gone.end()
	return true
}

func (v *visitors) remove(one *visitor) {
	v.all = slices.DeleteFunc(v.all, func(other *visitor) bool { return other == one })
}

// deadline ends a context, as context.WithTimeout does, but can be moved.
type deadline struct {
	timer *time.Timer
	end   context.CancelFunc
	over  *atomic.Bool // the time was used up
}

func newDeadline(ctx context.Context, d time.Duration) (context.Context, *deadline) {
	ctx, cancel := context.WithCancel(ctx)
	over := new(atomic.Bool)
	return ctx, &deadline{time.AfterFunc(d, func() { over.Store(true); cancel() }), cancel, over}
}

func (d *deadline) extend(to time.Time) { d.timer.Reset(time.Until(to)) }

func (d *deadline) stop() {
	d.timer.Stop()
	d.end()
}

// watched tells when nothing more comes from a client: during keyboard-interactive nobody else would notice.
type watched struct {
	net.Conn
	gone func()
}

func (w watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		w.gone()
	}
	return n, err
}
