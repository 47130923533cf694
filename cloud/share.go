package cloud

import (
	"context"
	"slices"
)

const maxMembers = 32 // of a site

// ShareSite lets another account use a site: it may do all but delete it, share it and give it away. What the site uses
// counts for its owner alone. NotFound for an account that does not exist, Conflict for one that has the site already.
func (c *Cloud) ShareSite(ctx context.Context, who Who, name, account string) (Site, error) {
	return c.changeMembers(ctx, who, SiteShare, name, account, func(tx Tx, s *Site) error {
		switch {
		case s.Owner == account:
			return Errorf(Conflict, "%q owns %q", account, s.Name)
		case s.UsableBy(account):
			return Errorf(Conflict, "%q is a member of %q already", account, s.Name)
		case len(s.Members) >= maxMembers:
			return Errorf(Quota, "%q has %d of %d members", s.Name, len(s.Members), maxMembers).
				WithHint("remove somebody: %s", c.Door.SSH("site unshare "+s.Name+" ACCOUNT"))
		}
		if err := known(tx, account); err != nil {
			return err
		}
		s.Members = append(s.Members, account)
		return nil
	})
}

func known(tx Tx, account string) error {
	_, err := tx.Account(account)
	if KindOf(err) == NotFound {
		return Errorf(NotFound, "no account %q", account).WithHint("ask them for the name that whoami shows")
	}
	return err
}

// UnshareSite takes a site from a member, or lets a member leave. What the member has open in it ends at once.
func (c *Cloud) UnshareSite(ctx context.Context, who Who, name, account string) (Site, error) {
	s, err := c.changeMembers(ctx, who, SiteLeave, name, account, func(_ Tx, s *Site) error {
		i := slices.Index(s.Members, account)
		if i < 0 {
			return Errorf(NotFound, "%q is not a member of %q", account, s.Name).WithHint("the members are listed by %s", c.Door.SSH("site info "+s.Name))
		}
		s.Members = slices.Delete(s.Members, i, i+1)
		return nil
	})
	if err == nil {
		c.reviewSite(ctx, s.ID)
	}
	return s, err
}

// changeMembers changes who is a member of a site, in one transaction with the look at the accounts.
func (c *Cloud) changeMembers(ctx context.Context, who Who, action Action, name, account string, fn func(Tx, *Site) error) (site Site, err error) {
	err = c.doSiteAbout(ctx, who, action, name, account, func(_ Account, s Site, e *Event) error {
		e.Detail = account
		return c.locked(ctx, s, func(s Site) error {
			return c.Store.Update(ctx, func(tx Tx) error {
				if err := fn(tx, &s); err != nil {
					return err
				}
				site = s
				return tx.PutSite(s)
			})
		})
	})
	return site, err
}

// setOwner hands a site over to one of its members; who had it stays as a member. The new owner needs room for it.
func (c *Cloud) setOwner(tx Tx, s *Site, value string) error {
	if value == s.Owner {
		return nil
	}
	i := slices.Index(s.Members, value)
	if i < 0 {
		return Errorf(Invalid, "%q is not a member of %q", value, s.Name).
			WithHint("first: %s", c.Door.SSH("site share "+s.Name+" ACCOUNT"))
	}
	to, err := c.person(tx, value)
	if err != nil {
		return err
	}
	if to.Disabled {
		return disabled(to)
	}
	if err := c.mayUseDomain(to, s.Name); err != nil {
		return err
	}
	sites, err := tx.Sites()
	if err != nil {
		return err
	}
	if have, limit := owned(sites, value), c.Limits(to).MaxSites; have >= limit {
		return Errorf(Quota, "%q has %d of %d sites", value, have, limit).WithHint("that account has to delete one, or ask an admin for more")
	}
	s.Members[i], s.Owner = s.Owner, value
	if s.Members[i] == Operator {
		s.Members = slices.Delete(s.Members, i, i+1)
	}
	if s.Group == "" || s.Group == to.Group {
		return nil
	}
	return c.address(tx, to.Group, sites, s) // groups are kept apart: the site moves to the network of its new owner's
}

func owned(sites []Site, account string) (n int) {
	for _, s := range sites {
		if s.Owner == account {
			n++
		}
	}
	return n
}

// leaveAll ends all memberships of an account.
func (c *Cloud) leaveAll(ctx context.Context, account string) error {
	sites, err := c.sites(ctx)
	if err != nil {
		return err
	}
	for _, s := range sites {
		if !slices.Contains(s.Members, account) {
			continue
		}
		release, err := c.locks.take(ctx, s.ID)
		if err != nil {
			return err
		}
		err = c.Store.Update(ctx, func(tx Tx) error { return leave(tx, s.ID, account) })
		release()
		if err != nil {
			return err
		}
	}
	return nil
}

// leave takes an account out of a site that may have gone by now.
func leave(tx Tx, id, account string) error {
	s, err := tx.Site(id)
	if KindOf(err) == NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	s.Members = slices.DeleteFunc(s.Members, func(m string) bool { return m == account })
	return tx.PutSite(s)
}

// memberOfNothing is asked where an account goes: whoever has its name next must find no membership.
func memberOfNothing(tx Tx, account string) error {
	sites, err := tx.Sites()
	if err != nil {
		return err
	}
	for _, s := range sites {
		if slices.Contains(s.Members, account) {
			return Errorf(Conflict, "%q was shared with account %q just now", s.Name, account).WithHint("try again")
		}
	}
	return nil
}
