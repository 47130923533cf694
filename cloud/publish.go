package cloud

import (
	"context"
	"sync"
)

// Publish gives the publisher the route table that follows from the store, and returns once that is served. Verbs that end
// at the same time share one.
func (c *Cloud) Publish(ctx context.Context) error {
	served, err := c.offer(ctx)
	if err != nil {
		return err
	}
	return served(ctx)
}

// publishAwake is Publish after a site woke or fell asleep. That is nothing to a proxy outside, so it waits for none.
func (c *Cloud) publishAwake(ctx context.Context) error {
	served, err := c.offer(ctx)
	if _, slow := c.Publisher.(Offering); slow || err != nil {
		return err
	}
	return served(ctx)
}

// offer returns once the publisher has the table, with what waits until that is served.
func (c *Cloud) offer(ctx context.Context) (served func(context.Context) error, err error) {
	return c.publish.share(ctx, func() func(context.Context) error {
		ctx := context.WithoutCancel(ctx) // it is the others' too
		routes, err := c.newTable(ctx)
		if p, ok := c.Publisher.(Offering); ok && err == nil {
			return p.Offer(routes)
		}
		if err == nil {
			err = c.Publisher.Publish(ctx, routes)
		}
		return func(context.Context) error { return err }
	})
}

// newTable reads the store, for the gateway itself and for its proxies.
func (c *Cloud) newTable(ctx context.Context) ([]Route, error) {
	var sites []Site
	var domains []Domain
	var steady map[string]bool
	err := c.Store.View(ctx, func(tx Tx) (err error) {
		if sites, err = tx.Sites(); err != nil {
			return err
		}
		if domains, err = c.ownDomains(tx); err != nil {
			return err
		}
		steady, err = c.steady(tx, sites)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.setTable(sites, domains)
	routes := Routes(sites, domains)
	for i := range routes {
		routes[i].Steady = steady[routes[i].SiteID]
	}
	return routes, nil
}

// steady are the ids of the PHP sites that never sleep, and that another program of the host can reach. Each owner is looked up once.
func (c *Cloud) steady(tx Tx, sites []Site) (map[string]bool, error) {
	ids, limits := map[string]bool{}, map[string]Limits{}
	for _, s := range sites {
		if s.Type != PHP {
			continue
		}
		l, known := limits[s.Owner]
		if !known {
			owner, err := c.account(tx, s.Owner)
			if err != nil && KindOf(err) != NotFound {
				return nil, err
			}
			l = c.Limits(owner)
			limits[s.Owner] = l
		}
		if c.idleWithin(s, l) == 0 && c.groups[s.Group].Parent == "" { // into a VLAN only the gateway itself finds
			ids[s.ID] = true
		}
	}
	return ids, nil
}

// publishing offers one table at a time. Who comes meanwhile shares the next with all who came meanwhile: that begins after
// each of them has come, and so sees what each of them has done. The zero value is ready.
type publishing struct {
	running sync.Mutex

	mu   sync.Mutex
	next *round // that somebody waits to begin
}

type round struct {
	offered chan struct{}
	served  func(context.Context) error // once offered; may be called by all
}

// share returns once a table has been offered that began after the call.
func (p *publishing) share(ctx context.Context, offer func() func(context.Context) error) (served func(context.Context) error, err error) {
	r, first := p.join()
	if !first {
		select {
		case <-r.offered:
			return r.served, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	p.running.Lock()
	defer p.running.Unlock()
	p.mu.Lock()
	p.next = nil
	p.mu.Unlock()
	defer close(r.offered)
	r.served = func(context.Context) error { return Errorf(Internal, "the routes were not published") } // unless offer returns
	r.served = offer()
	return r.served, nil
}

func (p *publishing) join() (r *round, first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next == nil {
		p.next, first = &round{offered: make(chan struct{})}, true
	}
	return p.next, first
}
