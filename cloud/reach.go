package cloud

import (
	"context"
	"net"
	"net/netip"
)

// Reach connects to where Hold said that a site's web server listens. A site in a VLAN is not to be reached from this host
// but from inside, on loopback.
func (c *Cloud) Reach(ctx context.Context, at netip.AddrPort) (net.Conn, error) {
	if !c.inVLAN(at.Addr()) {
		return new(net.Dialer).DialContext(ctx, "tcp", at.String())
	}
	for id, s := range *c.table.Load() {
		if s.Endpoint() == at {
			return c.Engine.Dial(ctx, id, "tcp", netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()).String())
		}
	}
	return nil, Errorf(NotFound, "no such site")
}

func (c *Cloud) inVLAN(a netip.Addr) bool {
	for _, g := range c.groups {
		if g.Parent != "" && g.Network.Contains(a) {
			return true
		}
	}
	return false
}
