package builtin

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
)

// believed is a request as the proxy in front of us had it: from whom, and whether by HTTPS.
func believed(r *http.Request) *http.Request {
	seen := r.WithContext(r.Context())
	if client, err := netip.ParseAddr(r.Header.Get("X-Real-Ip")); err == nil {
		seen.RemoteAddr = net.JoinHostPort(client.String(), "0")
	}
	if r.Header.Get("X-Forwarded-Proto") == "https" {
		seen.TLS = &tls.ConnectionState{}
	}
	return seen
}
