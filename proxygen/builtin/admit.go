package builtin

import (
	"errors"
	"fmt"
	"net/http"

	"plil.net/nuage/cloud"
)

const busySite = 5 // seconds after which to come again

// admit counts a request of its client and of its site until leave is called. If one of them has too many under way, it
// has answered, and leave is nil.
func (p *Proxy) admit(x *exchange, route cloud.Route) (leave func()) {
	who := network(addressOf(x.request.RemoteAddr))
	if !p.clients.enter(who, p.perClient) {
		p.show(x, page{Status: http.StatusTooManyRequests, Title: "Too many requests at once", Retry: 1,
			Text: fmt.Sprintf("More requests come from your address at once than are answered; the limit is %d.", p.perClient)})
		return nil
	}
	if route.SiteID == "" {
		return func() { p.clients.leave(who) }
	}
	if !p.crowded.enter(route.SiteID, p.perSite) {
		p.clients.leave(who)
		p.show(x, page{Status: http.StatusServiceUnavailable, Title: "This site is very busy", Retry: busySite,
			Text: fmt.Sprintf("More requests for %q come at once than are answered; the limit is %d.", route.Site, p.perSite)})
		return nil
	}
	return func() { p.crowded.leave(route.SiteID); p.clients.leave(who) }
}

// misdirected reports whether a request over TLS is for another host than the connection was made for. A browser that
// took one connection for two sites asks again over another (RFC 9110 section 15.5.20).
func misdirected(r *http.Request) bool {
	if r.TLS == nil || r.TLS.ServerName == "" {
		return false
	}
	host, _ := normalHost(r.Host)
	name, _ := normalHost(r.TLS.ServerName)
	return host != name
}

var errTooLarge = errors.New("the body is larger than this gateway takes")

func (p *Proxy) tooLarge() page {
	return page{Status: http.StatusRequestEntityTooLarge, Title: "Upload too large",
		Text: fmt.Sprintf("What was sent has more than %s, which is the limit.", cloud.FormatSize(p.body)),
		Hint: "large files go up with scp or sftp"}
}
