// Package builtin is the proxy that runs inside the gateway: it answers HTTP by Host and HTTPS by SNI,
// passes PHP sites on to their containers and serves static sites from their homes. It keeps no state but
// the table it was last given, starts and stops no container, and knows no rights: what is on the web is
// for everybody.
package builtin

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"plil.net/nuage/cloud"
)

// Sites is what the proxy needs of the cloud.
type Sites interface {
	// Hold counts a user of a site until release is called and returns where its web server listens.
	Hold(ctx context.Context, siteID string) (at netip.AddrPort, release func(), err error)
	// RunOf is a number of the present run of a site's container, 0 while nobody is sure of it. Another one than before:
	// somebody stopped it in between.
	RunOf(siteID string) uint64
	// Home opens the home of a site. The proxy closes it.
	Home(siteID string) (cloud.Home, error)
}

// Certificates finds the certificate for hello.ServerName. It is asked only for hosts in the table, with
// the name in lower case, at each handshake and concurrently. *CA is one.
type Certificates interface {
	GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
}

// Hits is told each request that a site was asked, once its answer has ended. It must not block.
type Hits interface {
	Note(siteID string, h cloud.Hit)
}

// Options are what a proxy is made of. Only Sites is required; HTTPS needs Certificates.
type Options struct {
	Sites        Sites
	Certificates Certificates
	Domains      cloud.Domains // under which names can be created
	Door         cloud.Door    // what pages tell people to type; they tell nothing if its Host is empty
	Hits         Hits          // may be nil
	// Reach connects to where Hold said that a web server listens; nil: as to any address.
	Reach    func(ctx context.Context, at netip.AddrPort) (net.Conn, error)
	Limits   Limits
	Robots   []string       // words in the User-Agent of who wakes no site, in any case
	QUICPort int            // where ServeQUIC answers HTTP/3, 0 for nowhere
	Proxies  []netip.Prefix // who may say by the PROXY protocol for whom it speaks
	// Challenge answers a request of an authority that issues certificates, and reports whether it was one. May be nil.
	Challenge func(http.ResponseWriter, *http.Request) bool
	// Behind says that all requests come from a proxy on this host, which tells whom they are from.
	Behind bool
	Log    *slog.Logger
	Now    func() time.Time
	Ref    func() string // names an internal error on its page and in the log
}

// Limits are those that a config may set; each is the usual one if 0.
type Limits struct {
	Body      int64 // bytes of a request's body
	PerClient int   // requests of one address at once
	PerSite   int   // requests for one site at once
	Wakes     int   // sites that one address wakes in a minute
}

// Proxy answers requests by the table that was published last. Before the first Publish there is no site.
type Proxy struct {
	limits
	behind    bool
	challenge func(http.ResponseWriter, *http.Request) bool
	sites     Sites
	certs     Certificates
	domains   cloud.Domains
	door      cloud.Door
	hits      Hits
	log       *slog.Logger
	now       func() time.Time
	ref       func() string
	routes    atomic.Pointer[map[string]*cloud.Route] // never changed
	transport *http.Transport
	lines     *lines
	buffers   *buffers
	homes     *homes
	cache     *cache
	passwords *passwords
	quicPort  int
	clients   tally // of requests, by address
	crowded   tally // of requests, by site
	gate      gate
	asked     atomic.Int64
	robots    []string // in lower case
	wakers    wakers
	stirs     *stirs
}

var _ cloud.Publisher = (*Proxy)(nil)

// New makes a proxy with an empty table. It listens nowhere until Serve.
func New(o Options) *Proxy {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Ref == nil {
		o.Ref = func() string { return strings.ToLower(rand.Text()[:8]) }
	}
	p := &Proxy{
		limits: defaults.with(o.Limits).fit(), behind: o.Behind, challenge: o.Challenge,
		sites: o.Sites, certs: o.Certificates, domains: o.Domains, door: o.Door,
		hits: o.Hits, log: o.Log, now: o.Now, ref: o.Ref,
		buffers:   &buffers{sync.Pool{New: newBuffer}},
		homes:     newHomes(o.Sites, defaults.homeKept),
		cache:     newCache(cacheSize),
		stirs:     newStirs(defaults),
		passwords: newPasswords(),
		robots:    lowered(o.Robots),
		quicPort:  o.QUICPort,
	}
	p.dialBy(dialer(p.limits, o.Reach))
	p.gate.limits, p.gate.proxies, p.gate.behind = &p.limits, o.Proxies, o.Behind
	p.routes.Store(&map[string]*cloud.Route{})
	return p
}

func (p *Proxy) dialBy(dial dialing) {
	dial = ofRun(dial, p.sites.RunOf)
	p.transport, p.lines = newTransport(p.limits, dial), newLines(&p.limits, dial)
}

// atATime is how many routes are put in the table before requests have their turn.
const atATime = 64

// Publish swaps the whole table. Requests under way end by the table they began with. A route that cannot
// be served (its host is no host, or taken by one before it) is left out and named in the error: the other
// sites must not suffer for it.
func (p *Proxy) Publish(_ context.Context, routes []cloud.Route) error {
	routes = slices.Clone(routes)
	table := make(map[string]*cloud.Route, len(routes))
	var bad []error
	for i := range routes {
		r := &routes[i]
		host, ok := normalHost(r.Host)
		if _, taken := table[host]; !ok || taken {
			bad = append(bad, cloud.Errorf(cloud.Internal, "route %q of site %q cannot be served", r.Host, r.Site))
			continue
		}
		table[host] = r
		if i%atATime == 0 {
			runtime.Gosched()
		}
	}
	p.routes.Store(&table)
	return errors.Join(bad...)
}

// route finds who answers for a Host header or an SNI.
func (p *Proxy) route(name string) (cloud.Route, bool) {
	host, ok := normalHost(name)
	if !ok {
		return cloud.Route{}, false
	}
	if r := (*p.routes.Load())[host]; r != nil {
		return *r, true
	}
	return cloud.Route{}, false
}

// Handler answers requests of any listener. The Host header picks the site; over HTTPS it must be the one that the
// connection was made for.
func (p *Proxy) Handler() http.Handler { return http.HandlerFunc(p.serve) }

// Asked counts the requests that have come.
func (p *Proxy) Asked() int64 { return p.asked.Load() }

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	p.asked.Add(1)
	if p.challenge != nil && p.challenge(w, r) {
		return
	}
	if p.behind {
		r = believed(r)
	}
	x := newExchange(w, r, p.limits)
	if p.quicPort != 0 && r.TLS != nil && r.ProtoMajor < 3 {
		x.Header().Set("Alt-Svc", fmt.Sprintf(`h3=":%d"; ma=86400`, p.quicPort))
	}
	defer p.note(x, p.now())
	defer x.finish()
	defer p.catch(x)
	p.answer(x)
}

func (p *Proxy) answer(x *exchange) {
	route, ok := p.route(x.request.Host)
	x.site = route.SiteID
	leave := p.admit(x, route)
	if leave == nil {
		return
	}
	defer leave()
	if p.give(x, route, ok) {
		p.askAgain(x, route)
	}
}

// give answers for a route, which is none unless ok. Nothing was answered if the site was changed meanwhile in such a way
// that it may be asked again, by the route that it has by now.
func (p *Proxy) give(x *exchange, route cloud.Route, ok bool) (again bool) {
	switch {
	case misdirected(x.request):
		p.show(x, page{Status: http.StatusMisdirectedRequest, Title: "Another connection, please",
			Text: fmt.Sprintf("This connection was made for %q.", x.request.TLS.ServerName)})
	case !ok:
		p.show(x, p.unknown(x.request.Host))
	case !strings.HasPrefix(x.request.URL.Path, "/"): // CONNECT, or a path of "*"
		p.show(x, page{Status: http.StatusBadRequest, Title: "Bad request", Text: "The request names no path."})
	case p.elsewhere(route, x.request.TLS != nil):
		p.redirect(x, route)
	case route.Maintenance:
		p.show(x, p.maintenance(route))
	case route.State == cloud.Failed:
		p.show(x, p.dead(route))
	case route.State != cloud.Running && route.State != cloud.Asleep:
		p.show(x, p.stopped(route))
	case route.Password != "" && !p.enters(x, route):
	case route.Type == cloud.Static:
		p.serveFiles(x, route)
	default:
		return p.forward(x, route)
	}
	return false
}

// askAgain is for a request whose site was changed by somebody while it was under way.
func (p *Proxy) askAgain(x *exchange, route cloud.Route) {
	for range askedAgain {
		x.Header().Del("Content-Type")
		now, ok := p.route(x.request.Host)
		if ok {
			route, x.site = now, now.SiteID
		}
		if x.request.Context().Err() != nil {
			panic(http.ErrAbortHandler) // nobody waits any more
		}
		if !p.give(x, now, ok) {
			return
		}
	}
	p.show(x, p.waking(route))
}

// refuse shows why the cloud did not give a site.
func (p *Proxy) refuse(x *exchange, route cloud.Route, err error) {
	switch {
	case errors.Is(err, errWaking), errors.Is(err, cloud.ErrWaking):
		p.show(x, p.waking(route))
		return
	case errors.Is(err, errRobot):
		p.show(x, p.leftAsleep(route))
		return
	case errors.Is(err, errFlood):
		p.show(x, p.slowed())
		return
	case errors.Is(err, cloud.ErrStopped): // since the route was looked up
		p.show(x, p.stopped(route))
		return
	}
	switch cloud.KindOf(err) {
	case cloud.NotFound: // deleted since the table was published
		p.show(x, p.unknown(x.request.Host))
	case cloud.Unavailable: // it died or does not wake, which no route tells
		p.show(x, p.dead(route))
	case cloud.Cancelled:
		panic(http.ErrAbortHandler)
	default:
		p.broken(x, route, err)
	}
}

// broken logs what went wrong on our side and shows the ref under which it is logged.
func (p *Proxy) broken(x *exchange, route cloud.Route, err error) {
	e := cloud.Explain(err, p.ref)
	p.log.Error("request failed", "ref", e.Ref, "request", x.id, "site", route.Site, "path", x.request.URL.Path, "err", err)
	p.show(x, page{Status: http.StatusInternalServerError, Title: "Something broke", Text: e.Message, Hint: e.Hint})
}
