package cloud

import (
	"cmp"
	"context"
	"net/netip"
	"runtime"
	"slices"
)

// Route is one host name that the proxy answers for.
type Route struct {
	Host   string
	SiteID string
	Site   string // the site's name
	Type   Type
	State  State
	Root   string         // document root of a static site, relative to the home
	Target netip.AddrPort // of a PHP site
	Main   string         // the host that visitors are sent to instead, "" for none
	Secure bool           // visitors who come by HTTP are sent to HTTPS
	Steady bool           // it never sleeps, and other programs of this host reach Target

	// What only the built-in proxy can do: another one leaves such a route to it.
	Maintenance bool
	Password    string // bcrypt of what visitors need, "" for none; who comes by HTTP is sent to HTTPS first
}

// Straight reports whether a proxy outside may lead visitors who come by HTTP, or by HTTPS, to Target itself. All others
// go through the built-in proxy, which wakes, serves files, redirects and explains.
func (r Route) Straight(secure bool) bool {
	return r.Type == PHP && r.State == Running && r.Steady && r.Main == "" && !r.Maintenance && r.Password == "" && (secure || !r.Secure)
}

// Publisher makes routes reachable.
type Publisher interface {
	// Publish replaces the whole table: routes are a pure function of the store, sorted by host. What it
	// returns nil for is being served. Idempotent.
	Publish(ctx context.Context, routes []Route) error
}

// Offering is a Publisher that takes a while: a proxy outside, which has to be told and to reload.
type Offering interface {
	Publisher
	// Offer is Publish in two parts: it takes the table, and returns what waits until that, or one that was offered
	// later, is served. Tables are offered one after the other; they may be waited for at once.
	Offer(routes []Route) (served func(context.Context) error)
}

// Routes is the route table of the sites: each by its name and by the domains that were proved for it. Sites that are
// being made or deleted have no route.
func Routes(sites []Site, domains []Domain) []Route {
	proved := map[string][]string{}
	for _, d := range domains {
		if d.Active() {
			proved[d.Site] = append(proved[d.Site], d.Host)
		}
	}
	routes := make([]Route, 0, len(sites)+len(domains))
	for i := range sites {
		s := &sites[i]
		if !s.Settled() {
			continue
		}
		own := proved[s.ID]
		routes = append(routes, s.route(s.Name, own))
		for _, host := range own {
			routes = append(routes, s.route(host, own))
		}
		if i%atATime == 0 {
			runtime.Gosched()
		}
	}
	slices.SortFunc(routes, func(a, b Route) int { return cmp.Compare(a.Host, b.Host) })
	return routes
}

// atATime is how many sites are gone through before others have their turn: visitors should not wait for all of a thousand.
const atATime = 64

// route is that of one of the site's hosts, own being those that were proved. A main host that is no longer one has no
// effect.
func (s *Site) route(host string, own []string) Route {
	r := Route{Host: host, SiteID: s.ID, Site: s.Name, Type: s.Type, State: s.State, Root: s.Root, Secure: s.HTTPS == ForceHTTPS,
		Maintenance: s.Maintenance, Password: s.Password}
	if s.Type == PHP {
		r.Target = s.Endpoint()
	}
	if s.Main != host && (s.Main == s.Name || slices.Contains(own, s.Main)) {
		r.Main = s.Main
	}
	return r
}

// setHTTPS is "site set NAME https=force".
func (c *Cloud) setHTTPS(_ Tx, s *Site, value string) error {
	switch {
	case value != "" && value != ForceHTTPS:
		return Errorf(Invalid, "https %q is not known", value).WithHint("write https=force, or https= for both HTTP and HTTPS")
	case value == ForceHTTPS && c.Door.HTTPSPort == 0:
		return Errorf(Unavailable, "this gateway serves no HTTPS").WithHint("ask your admin")
	}
	s.HTTPS = value
	return nil
}

// setMain is "site set NAME main=HOST": one of the site's hosts, to which the others redirect.
func (c *Cloud) setMain(tx Tx, s *Site, value string) error {
	if value == "" {
		s.Main = ""
		return nil
	}
	host := asHost(value)
	if host != s.Name {
		d, err := tx.Domain(host, s.ID)
		if err != nil || !d.Active() {
			return Errorf(Invalid, "%q is not a name of %q", value, s.Name).
				WithHint("add it and prove it first: %s", c.Door.SSH("domain add "+s.Name+" "+host))
		}
	}
	s.Main = host
	return nil
}
