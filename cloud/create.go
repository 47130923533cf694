package cloud

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// NewSite is what is asked for in CreateSite.
type NewSite struct {
	Name     string
	Type     Type              // "": PHP where an engine runs, else static
	Progress func(step string) // may be nil; told what is going on, for people; must not block: the site is locked
}

// undoTime bounds the undoing of a verb whose own time is up.
const undoTime = 30 * time.Second

// CreateSite makes a site and returns once it answers on the web. What fails on the way is undone. Invalid for
// a bad name, Conflict for a taken one, Quota, Unavailable.
func (c *Cloud) CreateSite(ctx context.Context, who Who, n NewSite) (site Site, err error) {
	if n.Progress == nil {
		n.Progress = func(string) {}
	}
	err = c.do(ctx, who, SiteCreate, c.FullName(n.Name), func(a Account) error {
		if site, err = c.draft(a, n); err != nil {
			return err
		}
		if err := c.engineReady(ctx, site); err != nil {
			return err
		}
		release, err := c.locks.take(ctx, site.ID)
		if err != nil {
			return err
		}
		defer release()
		if err := c.reserve(ctx, a, &site); err != nil {
			return err
		}
		c.Fault("create.reserved")
		if err := c.build(ctx, &site, n.Progress); err != nil {
			return errors.Join(err, c.undo(ctx, site))
		}
		return nil
	})
	return site, err
}

// draft checks what can be checked without the store.
func (c *Cloud) draft(a Account, n NewSite) (Site, error) {
	name, err := c.domains.Parse(n.Name)
	if err != nil {
		return Site{}, err
	}
	if err := c.mayUseDomain(a, name); err != nil {
		return Site{}, err
	}
	s := Site{
		ID: c.token(8), Name: name, Owner: a.Name, Members: []string{}, Type: n.Type, State: Creating,
		Root: DocumentRoot, Created: c.Now().UTC().Truncate(time.Second),
	}
	if s.Type == "" {
		s.Type = c.usualType()
	}
	return s, c.checkType(s.Type)
}

func (c *Cloud) usualType() Type {
	if c.Engine.Name() == "none" {
		return Static
	}
	return PHP
}

func (c *Cloud) checkType(t Type) error {
	switch {
	case t != PHP && t != Static:
		return Errorf(Invalid, "site type %q is not known", t).WithHint("the types are php and static")
	case t == PHP && c.Engine.Name() == "none":
		return Errorf(Unavailable, "this host runs no containers, so no PHP sites").WithHint("try --type static")
	}
	return nil
}

// mayUseDomain lets every group use the default domain, and each one its own.
func (c *Cloud) mayUseDomain(a Account, name string) error {
	domain := c.domains.of(name)
	if domain == c.Domain || a.IsAdmin() {
		return nil
	}
	for _, d := range c.groups[a.Group].Domains {
		if d == domain {
			return nil
		}
	}
	return Errorf(Denied, "domain %q is not for group %q", domain, a.Group).WithHint("use a name under %q", c.Domain)
}

// reserve gives the draft its name, address and uid, in one transaction. From here on the store knows it.
func (c *Cloud) reserve(ctx context.Context, a Account, s *Site) error {
	return c.Store.Update(ctx, func(tx Tx) error { return c.reserveIn(tx, a, s) })
}

func (c *Cloud) reserveIn(tx Tx, a Account, s *Site) error {
	if err := c.nameFree(tx, a, s.Name); err != nil {
		return err
	}
	sites, err := tx.Sites()
	if err != nil {
		return err
	}
	if err := c.withinLimit(a, sites); err != nil {
		return err
	}
	if s.Type == PHP {
		if err := c.address(tx, a.Group, sites, s); err != nil {
			return err
		}
	}
	if s.UID, err = c.uid(tx); err != nil {
		return err
	}
	return tx.PutSite(*s)
}

func (c *Cloud) nameFree(tx Tx, a Account, name string) error {
	taken, err := tx.SiteByName(name)
	switch {
	case KindOf(err) == NotFound:
		return nil
	case err != nil:
		return err
	case taken.Owner == a.Name && taken.Settled():
		return Errorf(Conflict, "you already have %q", name).WithHint("see it: %s", c.Door.SSH("site info "+name))
	case taken.Owner == a.Name:
		return Errorf(Conflict, "%q is still %s", name, taken.State).WithHint("try again in a moment")
	}
	return Errorf(Conflict, "the name %q is taken", name).WithHint("choose another name")
}

func (c *Cloud) withinLimit(a Account, sites []Site) error {
	if a.Name == Operator {
		return nil
	}
	have, limit := owned(sites, a.Name), c.Limits(a).MaxSites
	if have < limit {
		return nil
	}
	return Errorf(Quota, "you have %d of %d sites", have, limit).
		WithHint("delete one with %s, or ask your admin for more", c.Door.SSH("site delete NAME"))
}

// uid gives each site a uid that no other ever had.
func (c *Cloud) uid(tx Tx) (int, error) {
	if c.SameUID {
		return c.FirstUID, nil
	}
	n, err := tx.Next("uid")
	return c.FirstUID + int(n) - 1, err
}

// build makes a reserved site real. Each step may be done again.
func (c *Cloud) build(ctx context.Context, s *Site, progress func(string)) error {
	progress("making the home")
	if err := c.Homes.Make(ctx, *s, c.welcome(*s)); err != nil {
		return err
	}
	c.limitDisk(*s)
	c.Fault("create.home")
	s.State = Running
	if s.Type == PHP {
		progress(c.starting())
		era := c.sure.look()
		if err := c.Engine.Up(ctx, c.spec(*s)); err != nil {
			return err
		}
		c.sure.seen(s.ID, era)
		c.Fault("create.up")
	}
	if err := c.put(ctx, *s); err != nil {
		return err
	}
	c.Fault("create.recorded")
	progress("putting it on the web")
	return c.Publish(ctx)
}

// starting is what a person reads who waits for a container.
func (c *Cloud) starting() string {
	if n := c.wakes.count(); n > atOnce {
		return fmt.Sprintf("starting the container, while %d other sites wake", n)
	}
	return "starting the container"
}

// undo takes back a site that could not be made, also when ctx is over. What it cannot take back now,
// is tried again later.
func (c *Cloud) undo(ctx context.Context, s Site) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if err := c.demolish(ctx, s); err != nil {
		c.Log.Warn("create not undone yet", "site", s.Name, "err", err)
		c.tryAgain(s.ID)
	}
	return nil
}
