package gateway

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

func addr(text string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)) }

// TestPenalties: they add up, are enforced from a least on, have a most, and pass.
func TestPenalties(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	s := &sources{now: func() time.Time { return now }, trusted: Local()}
	knocker := addr("192.0.2.1:1")
	for range 14 {
		s.punish(knocker, penaltySilent)
	}
	if s.refuses(knocker) != 0 {
		t.Error("refused for less than the least")
	}
	s.punish(knocker, penaltySilent)
	if d := s.refuses(knocker); d != 15*time.Second {
		t.Errorf("refused for %v", d)
	}
	if s.refuses(addr("192.0.2.2:1")) != 0 {
		t.Error("a neighbour is refused")
	}
	now = now.Add(14 * time.Second)
	if s.refuses(knocker) != time.Second {
		t.Error("it does not pass second by second")
	}
	now = now.Add(time.Second)
	if s.refuses(knocker) != 0 {
		t.Error("it does not pass")
	}
	for range 1000 {
		s.punish(knocker, penaltyLate)
	}
	if d := s.refuses(knocker); d != penaltyMost {
		t.Errorf("the most is %v", d)
	}
	for range 1000 {
		s.punish(addr("127.0.0.1:1"), penaltyLate)
	}
	if s.refuses(addr("127.0.0.1:1")) != 0 {
		t.Error("this host is refused")
	}
}

// TestAddressesThatAreOne: an IPv6 customer has a /64; an IPv4 address in IPv6's clothes is itself.
func TestAddressesThatAreOne(t *testing.T) {
	t.Parallel()
	s := &sources{now: time.Now, trusted: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}
	for i := range 20 {
		s.punish(addr(fmt.Sprintf("[2001:db8:1:2::%x]:22", i+1)), penaltySilent)
		s.punish(addr(fmt.Sprintf("198.51.100.%d:22", i+1)), penaltyLate)
	}
	s.punish(addr("[::ffff:192.0.2.9]:1"), time.Minute)
	for address, refused := range map[string]bool{
		"[2001:db8:1:2:ffff::1]:1": true, "[2001:db8:1:3::1]:1": false, "192.0.2.9:2": true, "198.51.100.1:1": false,
	} {
		if (s.refuses(addr(address)) > 0) != refused {
			t.Errorf("%s: refused %v", address, !refused)
		}
	}
	if s.refuses(&net.UnixAddr{Name: "x"}) != 0 {
		t.Error("a socket has an address")
	}
	s.punish(&net.UnixAddr{Name: "x"}, time.Hour)
}

// TestAClass: who logs in clears the address for the others, and the few who fail do not shut it.
func TestAClass(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	s := &sources{now: func() time.Time { return now }}
	school := addr("192.0.2.1:1")
	for range 10 {
		for range 14 {
			s.punish(school, penaltyFailed)
		}
		s.welcome(school)
		now = now.Add(time.Second)
	}
	for i := range 450 {
		if s.punish(school, penaltyFailed); s.refuses(school) != 0 {
			t.Fatalf("the class is shut out by failure %d", i)
		}
	}
	for range 200 {
		s.punish(school, penaltyFailed)
	}
	if s.refuses(school) == 0 {
		t.Error("its credit never ends")
	}
}

// TestSourcesAreBounded: what is known of addresses does not grow without end, and is forgotten.
func TestSourcesAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	s := &sources{now: func() time.Time { return now }}
	knock := func(n int) net.Addr {
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 1))
	}
	for n := range maxSources + 1000 {
		s.punish(knock(n), penaltyLate)
	}
	if len(s.known) != maxSources {
		t.Errorf("%d addresses", len(s.known))
	}
	now = now.Add(time.Hour)
	if s.punish(knock(1<<20), penaltyLate); len(s.known) != 1 {
		t.Errorf("%d addresses are still known", len(s.known))
	}
}

type dummy struct {
	net.Conn
	at net.Addr
}

func (d dummy) RemoteAddr() net.Addr { return d.at }

// TestWhoGoes: the oldest of who has most, with the probability of the table.
func TestWhoGoes(t *testing.T) {
	t.Parallel()
	chance := 0.999
	w := waiting{limit: Startups{4, 50, 8}, chance: func() float64 { return chance }}
	class := dummy{at: addr("192.0.2.1:1")}
	var flood []*dummy
	if w.enter(class) != nil {
		t.Fatal("the first goes")
	}
	for i := range 7 {
		d := &dummy{at: addr(fmt.Sprintf("192.0.2.2:%d", i+1))}
		flood = append(flood, d)
		if gone := w.enter(d); gone != nil {
			t.Fatalf("%v goes by the smallest chance", gone.RemoteAddr())
		}
	}
	if gone := w.enter(dummy{at: addr("192.0.2.3:1")}); gone != flood[0] {
		t.Errorf("%v goes where it is full", gone)
	}
	chance = 0
	w.leave(flood[6])
	w.leave(flood[5])
	w.leave(flood[4])
	if gone := w.enter(dummy{at: addr("192.0.2.4:1")}); gone != flood[1] {
		t.Errorf("%v goes early", gone)
	}
	if !w.leave(class) || w.leave(flood[0]) {
		t.Error("who is there is not")
	}
	if s := (Startups{10, 30, 100}); s.drops(9, 0) || !s.drops(10, 0.29) || s.drops(10, 0.31) || !s.drops(55, 0.64) || s.drops(55, 0.66) || !s.drops(100, 1) {
		t.Error("the probability does not rise as sshd_config(5) says")
	}
}

func TestParseStartups(t *testing.T) {
	t.Parallel()
	if s, err := ParseStartups("10:30:100"); err != nil || s != (Startups{10, 30, 100}) || s.String() != "10:30:100" {
		t.Errorf("%v %v", s, err)
	}
	for _, bad := range []string{"", "10", "10:30", "0:30:100", "10:0:100", "10:101:100", "10:30:9", "10:30:100:", "10:30:100 ", "a:b:c", "10:30:65537"} {
		if _, err := ParseStartups(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestAllowance(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	var a allowance
	n := 0
	for range 1000 {
		if a.take(now) {
			n++
		}
	}
	if n != refusalBurst {
		t.Errorf("%d at once", n)
	}
	if now = now.Add(refusalEvery); !a.take(now) || a.take(now) {
		t.Error("it does not come back")
	}
}
