package cloud

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
)

// giver gives addresses as a store does that counts.
type giver struct {
	Group
	used map[netip.Addr]bool
	n    uint64
}

func give(g Group) *giver { return &giver{Group: g, used: map[netip.Addr]bool{}} }

func (g *giver) next(t *testing.T) (a netip.Addr, ok bool) {
	t.Helper()
	a, ok, err := g.address(func() (uint64, error) { g.n++; return g.n, nil }, g.used)
	if err != nil || ok && (g.used[a] || !g.Gives(a)) {
		t.Fatalf("gave %v, %v", a, err)
	}
	if ok {
		g.used[a] = true
	}
	return a, ok
}

// all gives all that there is.
func (g *giver) all(t *testing.T) int {
	t.Helper()
	for {
		if _, ok := g.next(t); !ok {
			return len(g.used)
		}
	}
}

func TestAddressesOfAGroup(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddr
	g := Group{Network: netip.MustParsePrefix("10.9.0.0/28")}
	all := give(g)
	if n := all.all(t); n != 10 { // 16, less network, bridge and 4 dynamic ones
		t.Errorf("gave %d addresses: %v", n, all.used)
	}
	for _, a := range []string{"10.9.0.0", "10.9.0.1", "10.9.0.12", "10.9.0.13", "10.9.0.14", "10.9.0.15"} {
		if all.used[addr(a)] || g.Gives(addr(a)) {
			t.Errorf("gave %s", a)
		}
	}
	freed := addr("10.9.0.5")
	delete(all.used, freed)
	if a, ok := all.next(t); !ok || a != freed {
		t.Errorf("the freed %v is not found again: %v, %v", freed, a, ok)
	}
}

// TestSubnets cuts a network as every engine has to, and finds each address in one of them.
func TestSubnets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		network, address string
		split            int
		subnet, gateway  string
		dynamic          string
		gives            bool
	}{
		{"10.64.0.0/16", "10.64.0.2", 0, "10.64.0.0/23", "10.64.0.1", "10.64.1.224/27", true},
		{"10.64.0.0/16", "10.64.1.223", 0, "10.64.0.0/23", "10.64.0.1", "10.64.1.224/27", true},
		{"10.64.0.0/16", "10.64.1.224", 0, "10.64.0.0/23", "10.64.0.1", "10.64.1.224/27", false},
		{"10.64.0.0/16", "10.64.1.255", 0, "10.64.0.0/23", "10.64.0.1", "10.64.1.224/27", false},
		{"10.64.0.0/16", "10.64.2.0", 0, "10.64.2.0/23", "10.64.2.1", "10.64.3.224/27", false},
		{"10.64.0.0/16", "10.64.2.1", 0, "10.64.2.0/23", "10.64.2.1", "10.64.3.224/27", false},
		{"10.64.0.0/16", "10.64.255.7", 0, "10.64.254.0/23", "10.64.254.1", "10.64.255.224/27", true},
		{"10.9.1.0/24", "10.9.1.77", 0, "10.9.1.0/24", "10.9.1.1", "10.9.1.240/28", true},
		{"10.9.1.0/28", "10.9.1.7", 0, "10.9.1.0/28", "10.9.1.1", "10.9.1.12/30", true},
		{"10.9.1.0/24", "10.9.1.39", 28, "10.9.1.32/28", "10.9.1.33", "10.9.1.44/30", true},
	} {
		g := Group{Network: netip.MustParsePrefix(c.network), Split: c.split}
		a := netip.MustParseAddr(c.address)
		s := g.Subnet(a)
		if s.String() != c.subnet || s.Gateway().String() != c.gateway || s.Dynamic().String() != c.dynamic || g.Gives(a) != c.gives {
			t.Errorf("%s in %s: %v, gateway %v, dynamic %v, gives %v", c.address, c.network, s, s.Gateway(), s.Dynamic(), g.Gives(a))
		}
	}
	for _, a := range []netip.Addr{{}, netip.MustParseAddr("10.65.0.2"), netip.MustParseAddr("::1")} {
		if g := (Group{Network: netip.MustParsePrefix("10.64.0.0/16")}); g.Subnet(a).IsValid() || g.Gives(a) {
			t.Errorf("%v is in a group's network", a)
		}
	}
	if (Group{}).Gives(netip.MustParseAddr("10.64.0.2")) {
		t.Error("a group that is in no config gives an address")
	}
}

// TestSubnetsAreBegunOneAfterTheOther gives 900 sites their addresses, as a school has, while others go: no bridge
// gets more than it has ports, and no more bridges are made than needed.
func TestSubnetsAreBegunOneAfterTheOther(t *testing.T) {
	t.Parallel()
	g := give(Group{Network: netip.MustParsePrefix("10.64.0.0/16")})
	var order []netip.Addr
	for len(order) < 900 {
		a, _ := g.next(t)
		order = append(order, a)
	}
	given := map[netip.Addr]int{}
	for i := range 600 { // years
		k := (i * 7919) % len(order)
		delete(g.used, order[k])
		a, _ := g.next(t)
		if at, again := given[a]; again && i-at < 400 {
			t.Fatalf("%v is given again after %d others", a, i-at)
		}
		order[k], given[a] = a, i
	}
	count := map[netip.Prefix]int{}
	for a := range g.used {
		count[g.Subnet(a).Prefix]++
	}
	if len(count) != 3 || slices.Max(slices.Collect(maps.Values(count))) > 478 {
		t.Errorf("900 sites are in %v", count)
	}
	if n := give(Group{Network: netip.MustParsePrefix("10.9.0.0/24"), Split: 28}).all(t); n != 16*10 {
		t.Errorf("a /24 in 16 subnets gives %d addresses", n)
	}
}
