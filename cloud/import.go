package cloud

import (
	"context"
	"errors"
	"net/netip"
)

// OldSite is a row of a table of another system: a site and whose it is.
type OldSite struct {
	Login   string
	Group   string
	Address string // where its container was; only looked at to see that the row is sound
	Domain  string
}

// Imported is what came of a row.
type Imported struct {
	Account bool // it was made
	Site    bool // it was made
	Err     error
}

// Import makes the accounts and sites of the rows that are not there yet, read once it is allowed, and tells what came of
// each; rows that cannot be used do not stop the others. A PHP site is made asleep: its container comes with its first
// visitor. Importing again what was imported changes nothing.
func (c *Cloud) Import(ctx context.Context, who Who, read func() ([]OldSite, error)) (done []Imported, err error) {
	err = c.do(ctx, who, Import, "", func(Account) error {
		rows, err := read()
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := ctx.Err(); err != nil {
				return err
			}
			var i Imported
			i.Err = c.do(ctx, who, Import, row.Domain, func(Account) error { return c.importRow(ctx, row, &i) })
			done = append(done, i)
		}
		return c.Publish(ctx)
	})
	return done, err
}

func (c *Cloud) importRow(ctx context.Context, row OldSite, i *Imported) error {
	if _, err := netip.ParseAddr(row.Address); err != nil && row.Address != "" {
		return Errorf(Invalid, "docker_ip %q is not an address", row.Address)
	}
	if row.Group == "" {
		return Errorf(Invalid, "it names no vlan")
	}
	a, err := c.draftAccount(NewAccount{Name: row.Login, Group: row.Group})
	if err != nil {
		return err
	}
	s, err := c.draft(a, NewSite{Name: row.Domain})
	if err != nil {
		return err
	}
	release, err := c.locks.take(ctx, s.ID)
	if err != nil {
		return err
	}
	defer release()
	if err := c.Store.Update(ctx, func(tx Tx) error { return c.importIn(tx, a, &s, i) }); err != nil {
		*i = Imported{}
		return err
	}
	if !i.Site {
		return nil
	}
	if err := c.layDown(ctx, s); err != nil {
		i.Site = false
		return errors.Join(err, c.undo(ctx, s))
	}
	return nil
}

// importIn reserves what is not there yet: the account and its site, or neither.
func (c *Cloud) importIn(tx Tx, a Account, s *Site, i *Imported) error {
	owner, err := tx.Account(a.Name)
	switch {
	case KindOf(err) == NotFound:
		owner, i.Account = a, true
		if err := tx.PutAccount(a); err != nil {
			return err
		}
	case err != nil:
		return err
	case owner.Group != a.Group:
		return Errorf(Conflict, "account %q is in group %q, not in %q", a.Name, owner.Group, a.Group)
	}
	there, err := tx.SiteByName(s.Name)
	if err == nil && there.Owner == owner.Name && there.Settled() {
		return nil
	}
	i.Site = true
	return c.reserveIn(tx, owner, s)
}

// layDown makes a reserved site without starting it.
func (c *Cloud) layDown(ctx context.Context, s Site) error {
	if err := c.Homes.Make(ctx, s, c.welcome(s)); err != nil {
		return err
	}
	c.limitDisk(s)
	s.State = Running
	if s.Type == PHP {
		s.State = Asleep
	}
	return c.put(ctx, s)
}
