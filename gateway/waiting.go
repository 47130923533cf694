package gateway

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"plil.net/nuage/cloud"
)

// Startups bounds the connections that have not logged in: from Start of them on, one goes with a probability that rises
// from Rate percent to all at Full. It is MaxStartups of OpenSSH's sshd_config(5), but who goes is not who comes: see waiting.
type Startups struct{ Start, Rate, Full int }

// DefaultStartups is what Limits have that say nothing else.
var DefaultStartups = Startups{128, 30, 512}

// ParseStartups reads "64:30:128".
func ParseStartups(text string) (s Startups, err error) {
	bad := cloud.Errorf(cloud.Invalid, "%q is not of the form START:RATE:FULL", text).
		WithHint("START connections are let in freely, RATE is a percentage, FULL the most: 64:30:128")
	if n, err := fmt.Sscanf(text, "%d:%d:%d", &s.Start, &s.Rate, &s.Full); err != nil || n != 3 || text != s.String() {
		return s, bad
	}
	if s.Start < 1 || s.Rate < 1 || s.Rate > 100 || s.Full < s.Start || s.Full > 65_536 {
		return s, bad
	}
	return s, nil
}

func (s Startups) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint([]int{s.Start, s.Rate, s.Full}), " ", ":"), "[]")
}

// drops says whether one goes for a newcomer where n wait already; chance is from 0 up to 1.
func (s Startups) drops(n int, chance float64) bool {
	switch {
	case n < s.Start:
		return false
	case n >= s.Full:
		return true
	}
	share := float64(s.Rate)
	if s.Full > s.Start {
		share += float64(100-s.Rate) * float64(n-s.Start) / float64(s.Full-s.Start)
	}
	return chance*100 < share
}

// waiting are the connections that have not logged in. Where there are many, the oldest of the address that has the most
// goes: who floods displaces nobody but itself, and from many addresses at once those who have waited longest, because a
// login takes a moment. Those from this host stand in a line of their own, so that nobody outside can keep "nuage ctl" out.
type waiting struct {
	limit  Startups // of each line
	chance func() float64

	mu             sync.Mutex
	outside, local []waiter // who came first is first
}

type waiter struct {
	net.Conn
	from netip.Prefix
}

func (w *waiting) line(from netip.Prefix) *[]waiter {
	if isLocal(from) {
		return &w.local
	}
	return &w.outside
}

// enter lets c wait, and returns who has to go for it, nil if nobody.
func (w *waiting) enter(c net.Conn) (gone net.Conn) {
	from, _ := sourceOf(c.RemoteAddr())
	w.mu.Lock()
	defer w.mu.Unlock()
	line := w.line(from)
	*line = append(*line, waiter{c, from})
	if !w.limit.drops(len(*line)-1, w.chance()) {
		return nil
	}
	i := mostOf(*line)
	gone = (*line)[i].Conn
	*line = slices.Delete(*line, i, i+1)
	return gone
}

// mostOf is the oldest of the address that has the most.
func mostOf(line []waiter) (first int) {
	count, most := map[netip.Prefix]int{}, 0
	for _, one := range line {
		count[one.from]++
		most = max(most, count[one.from])
	}
	return slices.IndexFunc(line, func(one waiter) bool { return count[one.from] == most })
}

// leave reports whether c was still there.
func (w *waiting) leave(c net.Conn) bool {
	from, _ := sourceOf(c.RemoteAddr())
	w.mu.Lock()
	defer w.mu.Unlock()
	line := w.line(from)
	i := slices.IndexFunc(*line, func(one waiter) bool { return one.Conn == c })
	if i < 0 {
		return false
	}
	*line = slices.Delete(*line, i, i+1)
	return true
}
