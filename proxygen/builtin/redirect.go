package builtin

import (
	"net/http"
	"strings"

	"plil.net/nuage/cloud"
)

// elsewhere reports whether a visitor of the route is sent to another name of the site, or to HTTPS.
func (p *Proxy) elsewhere(route cloud.Route, secure bool) bool {
	return route.Main != "" || p.lacksHTTPS(route, secure)
}

func (p *Proxy) lacksHTTPS(route cloud.Route, secure bool) bool {
	return (route.Secure || route.Password != "") && !secure && p.door.HTTPSPort != 0
}

// redirect sends a visitor, for good, to the same page at the site's main name, by HTTPS where the site asks for it. A
// form that was posted is posted again there (308).
func (p *Proxy) redirect(x *exchange, route cloud.Route) {
	host, r := route.Host, x.request
	if route.Main != "" {
		host = route.Main
	}
	base := p.door.PlainURL(host)
	if r.TLS != nil || p.lacksHTTPS(route, false) {
		base = p.door.SecureURL(host)
	}
	to := strings.TrimSuffix(base, "/") + r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	status := http.StatusMovedPermanently
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		status = http.StatusPermanentRedirect
	}
	h := x.Header()
	h.Set("Location", to)
	h.Set("Cache-Control", "no-cache") // the setting can be taken back
	h.Set("Content-Length", "0")
	x.WriteHeader(status)
}
