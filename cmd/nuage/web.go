package main

import (
	"net/netip"

	"plil.net/nuage/accesslog"
	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
)

// accessLog is how many bytes the access log of one site may have.
func (c config) accessLog() (int64, error) {
	size := int64(accesslog.DefaultSize)
	if err := read("http.access_log", c.HTTP.AccessLog, &size, cloud.ParseSize); err != nil {
		return 0, err
	}
	if size < accesslog.MinSize {
		return 0, cloud.Errorf(cloud.Invalid, "http.access_log = %q is too small", c.HTTP.AccessLog).
			WithHint("the least is %s", cloud.FormatSize(accesslog.MinSize))
	}
	return size, nil
}

// mostRequests is more than any gateway bears: who wants no limit may write it.
const mostRequests = 1_000_000

// web reads what bounds visitors, and which proxies may speak for them.
func (c config) web() (l builtin.Limits, proxies []netip.Prefix, err error) {
	if err := read("http.max_body", c.HTTP.MaxBody, &l.Body, cloud.ParseSize); err != nil {
		return l, nil, err
	}
	if c.HTTP.MaxBody != "" && l.Body == 0 {
		return l, nil, cloud.Errorf(cloud.Invalid, "http.max_body = %q lets no form be sent", c.HTTP.MaxBody).WithHint("leave it out for the usual size")
	}
	for _, n := range []struct {
		key   string
		value int
	}{{"http.max_per_client", c.HTTP.MaxPerClient}, {"http.max_per_site", c.HTTP.MaxPerSite}, {"http.max_wakes", c.HTTP.MaxWakes}} {
		if n.value < 1 || n.value > mostRequests {
			return l, nil, cloud.Errorf(cloud.Invalid, "%s = %d is not a number from 1 to %d", n.key, n.value, mostRequests).
				WithHint("leave it out for the usual number")
		}
	}
	l.PerClient, l.PerSite, l.Wakes = c.HTTP.MaxPerClient, c.HTTP.MaxPerSite, c.HTTP.MaxWakes
	for _, s := range c.HTTP.ProxyProtocol {
		p, err := parsePeer(s)
		if err != nil {
			return l, nil, cloud.Errorf(cloud.Invalid, "http.proxy_protocol = %q is neither an address nor a network", s).
				WithHint(`write it like ["192.0.2.7", "2001:db8::/64"]`)
		}
		proxies = append(proxies, p)
	}
	return l, proxies, nil
}

// parsePeer reads an address, or a network of them.
func parsePeer(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap()
		return a.Prefix(a.BitLen())
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}
