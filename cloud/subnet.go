package cloud

import (
	"encoding/binary"
	"net/netip"
)

// subnetBits is the length of the prefixes that a group's network is cut into. Each is one network of the engine with a
// bridge of its own. A bridge has 1,023 ports, and from about a thousand on it loses the questions for neighbours; a
// subnet has 512 addresses, of which 478 are for sites.
const subnetBits = 23

// spareShare is the part of a subnet that stays free before the next one is begun, so that an address that was given
// back can rest.
const spareShare = 4

// Subnet is what of a group's network shares one bridge.
type Subnet struct {
	netip.Prefix
	gateway netip.Addr
}

// Subnet is where an address is: it follows from the address and the config alone, so there is nothing that could drift.
// An address that is not in the group's network has none.
func (g Group) Subnet(a netip.Addr) Subnet {
	if !g.Network.Contains(a) {
		return Subnet{}
	}
	p, err := a.Prefix(g.subnetBits())
	if err != nil {
		return Subnet{}
	}
	if g.Parent != "" && g.Gateway.IsValid() {
		return Subnet{p, g.Gateway}
	}
	return Subnet{p, p.Addr().Next()}
}

func (g Group) subnetBits() int {
	switch {
	case g.Parent != "": // a VLAN is one, and has no bridge
		return g.Network.Bits()
	case g.Split != 0:
		return max(g.Network.Bits(), g.Split)
	}
	return max(g.Network.Bits(), subnetBits)
}

// Gateway is the host's address in the subnet, where the proxy's connections come from; in a VLAN it is the router's.
func (s Subnet) Gateway() netip.Addr { return s.gateway }

// Dynamic is the slice of the subnet that an engine may hand out by itself: the last sixteenth (at least 4
// addresses), with the broadcast address. Sites never get an address from it.
func (s Subnet) Dynamic() netip.Prefix {
	bits := min(s.Bits()+4, 30)
	return netip.PrefixFrom(addUint(s.Addr().As4(), size(s.Prefix)-size(netip.PrefixFrom(s.Addr(), bits))), bits)
}

// keeps reports whether an address is one of the subnet's own: its first, its bridge's, or a dynamic one.
func (s Subnet) keeps(a netip.Addr) bool {
	return a == s.Addr() || a == s.Addr().Next() || a == s.gateway || s.Dynamic().Contains(a)
}

// room is how many sites there is place for.
func (s Subnet) room() int { return int(size(s.Prefix)-size(s.Dynamic())) - 2 }

// Gives reports whether an address is one that sites of the group can have.
func (g Group) Gives(a netip.Addr) bool {
	s := g.Subnet(a)
	return s.IsValid() && !s.keeps(a)
}

// address finds a free address for a site. It goes on from the last one given, which next counts, round and round: who
// makes a site, deletes it and makes another gets another. Subnets are begun one after the other, when those before have
// little room left.
func (g Group) address(next func() (uint64, error), used map[netip.Addr]bool) (a netip.Addr, ok bool, err error) {
	first := g.Subnet(g.Network.Masked().Addr())
	places := uint64(g.begun(used) * first.room())
	for range places {
		n, err := next()
		if err != nil {
			return a, false, err
		}
		if a := g.place((n - 1) % places); !used[a] && g.Gives(a) {
			return a, true, nil
		}
	}
	return a, false, nil
}

// place is the nth address for sites, from 0 on.
func (g Group) place(n uint64) netip.Addr {
	first := g.Subnet(g.Network.Masked().Addr())
	room := uint64(first.room())
	return addUint(first.Addr().As4(), uint32(n/room)*size(first.Prefix)+2+uint32(n%room))
}

// begun is how many subnets there are sites in, or shall be.
func (g Group) begun(used map[netip.Addr]bool) int {
	first, sites := g.Subnet(g.Network.Masked().Addr()), 0
	for a := range used {
		if g.Gives(a) {
			sites++
		}
	}
	return min(1+(sites+first.room()/spareShare)/first.room(), int(size(g.Network)/size(first.Prefix)))
}

// size counts the addresses of a prefix from /1 to /32.
func size(p netip.Prefix) uint32 { return uint32(1) << (32 - p.Bits()) }

func addUint(a [4]byte, n uint32) netip.Addr {
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])+n)
	return netip.AddrFrom4(a)
}
