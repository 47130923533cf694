package cloud

import (
	"context"
	"slices"
	"strings"
)

// Sites lists the sites that the account owns or is a member of; with all, everybody's (for admins).
func (c *Cloud) Sites(ctx context.Context, who Who, all bool) (sites []Site, err error) {
	action := SiteList
	if all {
		action = SiteAll
	}
	err = c.do(ctx, who, action, "", func(a Account) error {
		sites, err = c.sites(ctx)
		if !all {
			sites = slices.DeleteFunc(sites, func(s Site) bool { return !s.UsableBy(a.Name) })
		}
		return err
	})
	return sites, err
}

// Site tells of one site.
func (c *Cloud) Site(ctx context.Context, who Who, name string) (site Site, err error) {
	err = c.doSite(ctx, who, SiteInfo, name, func(_ Account, s Site) error {
		site = s
		return nil
	})
	return site, err
}

// LimitsOf are the limits that hold for a site: those of its owner.
func (c *Cloud) LimitsOf(s Site) Limits {
	var owner Account
	_ = c.Store.View(context.Background(), func(tx Tx) (err error) {
		owner, err = c.account(tx, s.Owner)
		return err
	})
	return c.Limits(owner)
}

// Home opens the home of a site for the proxy, which serves static sites from it.
func (c *Cloud) Home(id string) (Home, error) {
	s, ok := c.published(id)
	if !ok {
		return nil, Errorf(NotFound, "no such site")
	}
	return c.Homes.Open(s)
}

// Logs writes what a site printed to stdout and stderr of x; see [Engine.Logs].
func (c *Cloud) Logs(ctx context.Context, who Who, name string, o LogOptions, out Streams) error {
	return c.doSite(ctx, who, SiteLogs, name, func(_ Account, s Site) error {
		if s.Type != PHP {
			return Errorf(Invalid, "%q is a static site: it runs no program that writes a log", s.Name).
				WithHint("its visitors: %s", c.Door.SSH("site logs "+s.Name+" --access"))
		}
		return c.during(ctx, who, SiteLogs, s, func(ctx context.Context) error {
			return c.Engine.Logs(ctx, s.ID, o, out.Stdout, out.Stderr)
		})
	})
}

// published is a site as the publisher was last given it.
func (c *Cloud) published(id string) (Site, bool) {
	if s := (*c.table.Load())[id]; s != nil {
		return *s, true
	}
	return Site{}, false
}

func (c *Cloud) setTable(sites []Site, domains []Domain) {
	table := make(map[string]*Site, len(sites))
	for i := range sites {
		if s := &sites[i]; s.Settled() {
			table[s.ID] = s
		}
	}
	hosts := map[string]string{}
	for _, d := range domains {
		if _, ok := table[d.Site]; ok && d.Active() {
			hosts[d.Host] = d.Site
		}
	}
	c.table.Store(&table)
	c.hosts.Store(&hosts)
}

// ownDomains are all domains but those that have since become served here, by the config.
func (c *Cloud) ownDomains(tx Tx) ([]Domain, error) {
	domains, err := tx.Domains()
	return slices.DeleteFunc(domains, func(d Domain) bool { return !c.isOwn(d.Host) }), err
}

func (c *Cloud) sites(ctx context.Context) (sites []Site, err error) {
	err = c.Store.View(ctx, func(tx Tx) error {
		sites, err = tx.Sites()
		return err
	})
	return sites, err
}

func (c *Cloud) byID(ctx context.Context, id string) (s Site, err error) {
	err = c.Store.View(ctx, func(tx Tx) error {
		s, err = tx.Site(id)
		return err
	})
	return s, err
}

// find looks a site up by a full name, a domain proved for it, or a first label. A name that breaks the rules is no site either.
func (c *Cloud) find(ctx context.Context, name string) (s Site, err error) {
	err = c.Store.View(ctx, func(tx Tx) error {
		if id, ok := (*c.hosts.Load())[asHost(name)]; ok {
			s, err = tx.Site(id)
			return err
		}
		s, err = tx.SiteByName(c.FullName(name))
		return err
	})
	if KindOf(err) == NotFound {
		return s, c.noSite(c.FullName(name))
	}
	return s, err
}

func (c *Cloud) noSite(name string) error {
	return Errorf(NotFound, "no site %q", name).WithHint("yours are listed by %s", c.Door.SSH("site list"))
}

// FullName completes a first label; what is no name at all stays as it is.
func (c *Cloud) FullName(name string) string {
	name = strings.ToLower(name)
	if c.domains.of(name) != "" || strings.Contains(name, ".") || name == "" {
		return name
	}
	return name + "." + c.Domain
}
