package cloud

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// StartSite makes a site run. Starting a running site makes sure that it really does.
func (c *Cloud) StartSite(ctx context.Context, who Who, name string) error {
	return c.changeSite(ctx, who, SiteStart, name, "", func(_ Account, s Site) error { return c.start(ctx, s) })
}

// StopSite takes a site off the web and keeps its files.
func (c *Cloud) StopSite(ctx context.Context, who Who, name string) error {
	return c.changeSite(ctx, who, SiteStop, name, "", func(_ Account, s Site) error { return c.stop(ctx, s) })
}

// RestartSite stops and starts the container of a site, on the image that it should have. Visitors wait in the meantime.
func (c *Cloud) RestartSite(ctx context.Context, who Who, name string) error {
	return c.changeSite(ctx, who, SiteStart, name, "restart", func(_ Account, s Site) error {
		if err := c.pause(ctx, s); err != nil {
			return err
		}
		return c.start(ctx, s)
	})
}

// pause stops the container of a site that is about to start again.
func (c *Cloud) pause(ctx context.Context, s Site) error {
	if s.Type != PHP {
		return c.vacate(ctx, s.ID)
	}
	if err := c.engineReady(ctx, s); err != nil {
		return err
	}
	if err := c.become(ctx, s, Asleep); err != nil {
		return err
	}
	return c.down(ctx, s.ID)
}

// settings are the keys of SetSite.
var settings = map[string]struct {
	example string
	apply   func(c *Cloud, tx Tx, s *Site, value string) error
}{
	"type":        {"type=static", (*Cloud).setType},
	"idle":        {"idle=2h", (*Cloud).setIdle},
	"php":         {"php=8.2", (*Cloud).setImage},
	"root":        {"root=www/public", (*Cloud).setRoot},
	"https":       {"https=force", (*Cloud).setHTTPS},
	"maintenance": {"maintenance=on", (*Cloud).setMaintenance},
	"password":    {"password=-", (*Cloud).setPassword},
	"main":        {"main=www.example.org", (*Cloud).setMain},
	"owner":       {"owner=ACCOUNT", (*Cloud).setOwner},
}

// SetSite changes settings given as KEY=VALUE; an empty value restores the default. All are changed or none. A new owner
// has more to it: see setOwner.
func (c *Cloud) SetSite(ctx context.Context, who Who, name string, pairs []string) (site Site, err error) {
	err = c.changeSite(ctx, who, setAction(pairs), name, told(pairs), func(_ Account, s Site) error {
		if err := c.engineReady(ctx, s); err != nil {
			return err
		}
		sealed, err := sealPasswords(pairs)
		if err != nil {
			return err
		}
		if site, err = c.set(ctx, s, sealed); err != nil {
			return err
		}
		if site.Owner != s.Owner {
			c.limitDisk(site)
		}
		if s.Type == PHP && site.Type != PHP {
			if err := c.unhouse(ctx, s.ID); err != nil {
				return err
			}
		}
		if !site.shallRun() {
			return c.Publish(ctx)
		}
		if site.Image != s.Image {
			site, err = c.startOnImage(ctx, site, s.Image)
			return err
		}
		return c.start(ctx, site)
	})
	return site, err
}

// unhouse removes the container of a site that is recorded as static: once nobody is led to it, and its end is no death.
func (c *Cloud) unhouse(ctx context.Context, id string) error {
	if err := c.Publish(ctx); err != nil {
		return err
	}
	return c.remove(ctx, id)
}

// setAction is what settings are asked for as: only the owner gives a site away.
func setAction(pairs []string) Action {
	for _, pair := range pairs {
		if strings.HasPrefix(pair, "owner=") {
			return SiteGive
		}
	}
	return SiteSet
}

func (c *Cloud) set(ctx context.Context, s Site, pairs []string) (Site, error) {
	err := c.Store.Update(ctx, func(tx Tx) error {
		for _, pair := range pairs {
			key, value, err := splitPair(pair)
			if err != nil {
				return err
			}
			setting, ok := settings[key]
			if !ok {
				return Errorf(Invalid, "there is no setting %q", key).WithHint("the settings are %s", settingNames())
			}
			if err := setting.apply(c, tx, &s, value); err != nil {
				return err
			}
		}
		return tx.PutSite(s)
	})
	return s, err
}

// told is what the audit tells of settings: no password.
func told(pairs []string) string {
	var all []string
	for _, pair := range pairs {
		if strings.HasPrefix(pair, passwordKey) && pair != passwordKey {
			pair = passwordKey + "…"
		}
		all = append(all, pair)
	}
	return strings.Join(all, " ")
}

func splitPair(pair string) (key, value string, err error) {
	key, value, ok := strings.Cut(pair, "=")
	if !ok || key == "" {
		return "", "", Errorf(Invalid, "%q is not of the form KEY=VALUE", pair).WithHint("write it like type=static")
	}
	return key, value, nil
}

func settingNames() string {
	var names []string
	for _, s := range settings {
		names = append(names, s.example)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (c *Cloud) setType(tx Tx, s *Site, value string) error {
	t := Type(value)
	if value == "" {
		t = c.usualType()
	}
	if err := c.checkType(t); err != nil || t == s.Type {
		return err
	}
	s.Type = t
	if t == Static && s.State == Asleep { // it never sleeps
		s.State = Running
	}
	if t != PHP || s.Address.IsValid() {
		return nil
	}
	owner, err := c.account(tx, s.Owner)
	if err != nil {
		return err
	}
	sites, err := tx.Sites()
	if err != nil {
		return err
	}
	return c.address(tx, owner.Group, sites, s)
}

const maxRoot = 200 // bytes

func (c *Cloud) setRoot(_ Tx, s *Site, value string) error {
	if value == "" {
		value = DocumentRoot
	}
	clean := path.Clean(strings.TrimPrefix(strings.TrimPrefix(value, HomePath), "/"))
	switch {
	case len(clean) > maxRoot:
		return Errorf(Invalid, "the document root has %d bytes; the limit is %d", len(clean), maxRoot)
	case clean == "." || !fsPath(clean):
		return Errorf(Invalid, "document root %q is not a directory in the home", value).WithHint("write it like root=www/public")
	}
	s.Root = clean
	return nil
}

// fsPath accepts a clean relative path whose elements are of letters, digits and . _ - and no dotfiles: it is
// also an Apache setting.
func fsPath(p string) bool {
	for _, element := range strings.Split(p, "/") {
		if element == "" || element[0] == '.' || strings.Trim(element, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
			return false
		}
	}
	return true
}

// start records that the site shall run, and makes it. A site that does not come up is Failed, with the reason.
func (c *Cloud) start(ctx context.Context, s Site) error {
	if err := c.engineReady(ctx, s); err != nil {
		return err
	}
	s.State, s.Reason = Running, ""
	if err := c.rise(ctx, s); err != nil {
		return err
	}
	c.deaths.forget(s.ID)
	c.holds.touch(s.ID, c.Now())
	// A document root that is missing, deleted or just set, would keep the web server from starting.
	if err := c.Homes.Make(ctx, s, c.welcome(s)); err != nil {
		c.Log.Warn("document root not made", "site", s.Name, "err", err)
	}
	_, err := c.renew(ctx, s, true)
	return err
}

// raise makes a site that shall run do so, and publishes what came of it.
func (c *Cloud) raise(ctx context.Context, s Site) error {
	if s.Type != PHP {
		return c.Publish(ctx)
	}
	s, err := c.housed(ctx, s)
	if err != nil {
		return err
	}
	era := c.sure.look()
	return c.raised(ctx, s, era, c.Engine.Up(ctx, c.spec(s)))
}

// raised records and publishes what came of a start that began in an era.
func (c *Cloud) raised(ctx context.Context, s Site, era int, err error) error {
	if err == nil {
		c.deaths.up(s.ID)
		c.sure.seen(s.ID, era)
		c.tries.forget(s.ID)
	}
	trouble := errors.Is(err, ErrTrouble)
	if trouble {
		defer c.tryAgain(s.ID)
	}
	if err != nil && ctx.Err() == nil && c.Engine.Ping(ctx) == nil {
		if !trouble && !c.deaths.dead(s.ID) {
			c.deaths.failed(s.ID, c.Now())
		}
		s.State, s.Reason = Failed, err.Error()
		if err := c.put(ctx, s); err != nil {
			return err
		}
	}
	if publishErr := c.Publish(ctx); err == nil {
		err = publishErr
	}
	return err
}

func (c *Cloud) stop(ctx context.Context, s Site) error {
	if err := c.engineReady(ctx, s); err != nil {
		return err
	}
	s.State, s.Reason = Stopped, ""
	if err := c.put(ctx, s); err != nil {
		return err
	}
	if err := c.Publish(ctx); err != nil {
		return err
	}
	if s.Type != PHP {
		return c.vacate(ctx, s.ID)
	}
	return c.down(ctx, s.ID)
}

// changeSite is doSite for verbs that change the site: one at a time, on its state of now. The audit tells detail of it if it
// is done.
func (c *Cloud) changeSite(ctx context.Context, who Who, action Action, name, detail string, fn func(Account, Site) error) error {
	return c.doSiteAbout(ctx, who, action, name, "", func(a Account, s Site, e *Event) error {
		e.Detail = detail
		return c.locked(ctx, s, func(s Site) error { return fn(a, s) })
	})
}

func (c *Cloud) locked(ctx context.Context, s Site, fn func(Site) error) error {
	release, err := c.locks.take(ctx, s.ID)
	if err != nil {
		return err
	}
	defer release()
	now, err := c.byID(ctx, s.ID)
	if err != nil {
		return c.noSite(s.Name)
	}
	if !now.Settled() {
		return Errorf(Conflict, "%q is still %s", now.Name, now.State).WithHint("try again in a moment")
	}
	return fn(now)
}

// engineReady refuses a verb before it has changed anything, where the engine it will need is away.
func (c *Cloud) engineReady(ctx context.Context, s Site) error {
	if s.Type != PHP {
		return nil
	}
	return c.Engine.Ping(ctx)
}

// spec is what the site's container is made of.
func (c *Cloud) spec(s Site) Spec {
	limits := c.LimitsOf(s)
	spec := Spec{
		ID: s.ID, Name: s.Name, UID: s.UID, Home: c.Homes.Path(s), Root: s.Root, ReadOnly: s.Full, Memory: limits.Memory, CPUs: limits.CPUs,
	}
	if s.Type != PHP {
		spec.Bare = true
		return spec
	}
	spec.Image, spec.Group, spec.Address = c.Images[s.Image], c.groups[s.Group], s.Address
	return spec
}

func (c *Cloud) put(ctx context.Context, s Site) error {
	if err := c.Store.Update(ctx, func(tx Tx) error { return tx.PutSite(s) }); err != nil {
		return fmt.Errorf("record site %s as %s: %w", s.ID, s.State, err)
	}
	return nil
}
