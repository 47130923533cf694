package cloud

import (
	"context"
	"sync"
)

// leases are the uses that go on after their verb was allowed: programs in sites, what is followed, backups. (Open files
// ask by themselves: see [Access.Check].) Each may be ended as soon as the policy would no longer allow it. The zero value is ready.
type leases struct {
	mu   sync.Mutex
	last int
	held map[int]lease
}

type lease struct {
	who    Who
	action Action
	site   string // id, "" for none
	end    context.CancelCauseFunc
}

// Lease returns a context that also ends when the account may no longer do the action on the site, at once: it was
// unshared, given away or deleted, or a role was lost. done gives the lease back.
func (c *Cloud) Lease(ctx context.Context, who Who, action Action, s Site) (leased context.Context, done func()) {
	leased, end := context.WithCancelCause(ctx)
	n := c.leases.add(lease{who, action, s.ID, end})
	c.review(leased, func(l lease) bool { return l.site == s.ID && l.who == who }) // what was lost while it was given
	return leased, func() { c.leases.drop(n); end(nil) }
}

// Still says why somebody who has logged in may do nothing any more; nil if not, and where that cannot be found out.
func (c *Cloud) Still(ctx context.Context, who Who) error {
	if _, err := c.acting(ctx, who.begun()); KindOf(err) != Internal {
		return err
	}
	return nil
}

// during runs fn on a lease: of a site, or with the zero Site of what is about none. If the lease ends it tells why.
func (c *Cloud) during(ctx context.Context, who Who, action Action, s Site, fn func(context.Context) error) error {
	leased, done := c.Lease(ctx, who, action, s)
	defer done()
	err := fn(leased)
	if leased.Err() == nil || ctx.Err() != nil {
		return err
	}
	why := context.Cause(leased)
	if KindOf(why) == NotFound {
		return c.noSite(s.Name) // any more
	}
	return why
}

// reviewSite ends the leases of a site that the policy no longer allows.
func (c *Cloud) reviewSite(ctx context.Context, id string) {
	c.review(ctx, func(l lease) bool { return l.site == id })
}

// reviewAccount does it for an account.
func (c *Cloud) reviewAccount(ctx context.Context, name string) {
	c.review(ctx, func(l lease) bool { return l.who.Account == name || l.who.By == name })
}

func (c *Cloud) review(ctx context.Context, pick func(lease) bool) {
	ctx = context.WithoutCancel(ctx)
	for _, l := range c.leases.all(pick) {
		if err := c.holdsGood(ctx, l); err != nil && KindOf(err) != Internal {
			l.end(err)
		}
	}
}

// holdsGood asks the policy again.
func (c *Cloud) holdsGood(ctx context.Context, l lease) error {
	a, err := c.acting(ctx, l.who.begun())
	if err != nil {
		return err
	}
	if l.site == "" {
		return may(a, l.action, target{})
	}
	s, err := c.byID(ctx, l.site)
	if err != nil {
		return err
	}
	return may(a, l.action, target{site: &s})
}

func (l *leases) add(one lease) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[int]lease{}
	}
	l.last++
	l.held[l.last] = one
	return l.last
}

func (l *leases) drop(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, n)
}

func (l *leases) all(pick func(lease) bool) (found []lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.held {
		if pick(one) {
			found = append(found, one)
		}
	}
	return found
}
