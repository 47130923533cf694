package builtin

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"

	"plil.net/nuage/cloud"
)

// What the tests reach inside for: short limits, and who is dialled.

var NormalHost = normalHost

const MaxLeaves = maxLeaves

func (p *Proxy) Shorten(silence, readHeader, linger, drain time.Duration) {
	p.silence, p.readHeader, p.linger, p.drain = silence, readHeader, linger, drain
	p.dialBy(dialer(p.limits, nil))
}

func (p *Proxy) Impatient(wakePage, wake time.Duration) { p.wakePage, p.wake = wakePage, wake }

func (p *Proxy) Wakes(limit int, robots ...string) { p.wakes, p.robots = limit, robots }

func (p *Proxy) DialWith(dial func(ctx context.Context, network, addr string) (net.Conn, error)) {
	p.dialBy(dial)
}

func (p *Proxy) ReachBy(reach func(context.Context, netip.AddrPort) (net.Conn, error)) {
	p.dialBy(dialer(p.limits, reach))
}

func (c *CA) Kept() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.leaves)
}

func (p *Proxy) LogTo(h Hits) { p.hits = h }

func (p *Proxy) SetDoor(d cloud.Door)       { p.door = d }
func (p *Proxy) Clock(now func() time.Time) { p.now = now }

func (p *Proxy) CacheOf(bytes int) { p.cache = newCache(bytes) }

func (p *Proxy) KeepHomes(d time.Duration) { p.homes.keep = d }

// Kept counts the files in the cache.
func (p *Proxy) Kept() int {
	p.cache.mu.Lock()
	defer p.cache.mu.Unlock()
	return len(p.cache.files)
}

// Lent counts the homes that are open.
func (p *Proxy) Lent() int {
	p.homes.mu.Lock()
	defer p.homes.mu.Unlock()
	return len(p.homes.open)
}

// Tried counts the passwords whose verdict is remembered.
func (p *Proxy) Tried() int {
	p.passwords.mu.Lock()
	defer p.passwords.mu.Unlock()
	return len(p.passwords.right) + len(p.passwords.wrong)
}

func (p *Proxy) Crowd(perClient, perSite int) { p.perClient, p.perSite = perClient, perSite }

func (p *Proxy) Connections(perAddress, all int) { p.perAddress, p.connections = perAddress, all }

func (p *Proxy) MaxBody(n int64) { p.body = n }

func (p *Proxy) Trust(proxies ...netip.Prefix) { p.gate.proxies = proxies }

func (p *Proxy) Gated(l net.Listener) net.Listener {
	return p.gate.listen(l)
}

// Crowding counts the requests under way.
func (p *Proxy) Crowding() (n int) {
	for _, t := range []*tally{&p.clients, &p.crowded} {
		t.mu.Lock()
		n += len(t.n)
		t.mu.Unlock()
	}
	return n
}

func (p *Proxy) AnnounceQUIC(port int) { p.quicPort = port }

// Stir lets only so many sites at rest begin at once.
func (p *Proxy) Stir(atOnce int, limit time.Duration) {
	l := p.limits
	l.stirs, l.stirLimit = atOnce, limit
	p.stirs = newStirs(l)
}

// ByReverse answers plain requests as all others, each on a connection of its own: http.Transport may take what a container
// said too much for the answer to the next.
func (p *Proxy) ByReverse() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.transport.CloseIdleConnections()
		x := newExchange(w, r, p.limits)
		defer x.finish()
		defer p.catch(x)
		route, _ := p.route(r.Host)
		at, release, _ := p.sites.Hold(r.Context(), route.SiteID)
		defer release()
		x.Header()["Content-Type"] = nil
		p.reverse(x, held{route, at, p.sites.RunOf(route.SiteID), func() {}})
	})
}

// Lines counts the connections to containers that are kept.
func (p *Proxy) Lines() (n int) {
	p.lines.mu.Lock()
	defer p.lines.mu.Unlock()
	for _, all := range p.lines.kept {
		n += len(all)
	}
	return n
}

func (p *Proxy) KeepLines(d time.Duration, each int) { p.containerIdle, p.containerKept = d, each }
