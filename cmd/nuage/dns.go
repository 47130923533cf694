package main

import (
	"context"
	"net"
	"net/netip"

	"plil.net/nuage/cloud"
)

// dns is whom the config says to ask, and the addresses at which the web finds us.
func (c config) dns() (cloud.Resolver, []netip.Addr, error) {
	var addresses []netip.Addr
	for _, s := range c.DNS.Addresses {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, nil, cloud.Errorf(cloud.Invalid, "dns.addresses: %q is not an address", s).WithHint(`write it like ["192.0.2.1", "2001:db8::1"]`)
		}
		addresses = append(addresses, a.Unmap())
	}
	resolver := &net.Resolver{PreferGo: true}
	if c.DNS.Resolver == "" {
		return resolver, addresses, nil
	}
	at, err := netip.ParseAddrPort(c.DNS.Resolver)
	if err != nil {
		return nil, nil, cloud.Errorf(cloud.Invalid, "dns.resolver = %q is not an address with a port", c.DNS.Resolver).
			WithHint(`write it like "192.0.2.53:53"`)
	}
	resolver.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, at.String())
	}
	return resolver, addresses, nil
}
