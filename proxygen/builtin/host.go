package builtin

import (
	"net/netip"
	"strings"
)

// normalHost brings a Host header, an SNI or a route's host to the form in which the table has it: lower
// case, without port and without the root's dot; an IPv6 address without brackets, in its shortest form.
// It reports false for what names no host.
func normalHost(s string) (string, bool) {
	host, port, ok := cutPort(s)
	if !ok || !isPort(port) {
		return "", false
	}
	if strings.Contains(host, ":") {
		addr, err := netip.ParseAddr(host)
		return addr.String(), err == nil && addr.Zone() == ""
	}
	host = strings.TrimSuffix(host, ".")
	if host == "" || strings.ContainsFunc(host, notInHost) {
		return "", false
	}
	return strings.ToLower(host), true
}

// cutPort splits "host:port", "[v6]:port" and a bare "v6".
func cutPort(s string) (host, port string, ok bool) {
	if inside, found := strings.CutPrefix(s, "["); found {
		host, port, ok = strings.Cut(inside, "]")
		if !ok || !strings.Contains(host, ":") || (port != "" && port[0] != ':') {
			return "", "", false
		}
		return host, strings.TrimPrefix(port, ":"), true
	}
	if strings.Count(s, ":") > 1 {
		return s, "", true
	}
	host, port, _ = strings.Cut(s, ":")
	return host, port, true
}

// isAddress reports whether a host is written as an address.
func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// isPort accepts the empty port too, as in "host:" (RFC 3986 section 3.2.3).
func isPort(s string) bool {
	return len(s) <= 5 && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

func notInHost(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	digit := '0' <= r && r <= '9'
	return !letter && !digit && r != '-' && r != '.' && r != '_'
}
