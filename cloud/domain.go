package cloud

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Domain is a host name of somebody's own, asked for as a name of a site. Several sites may ask for the same host; it
// leads to the one that proved it. The proof is Token, in the DNS of the host.
type Domain struct {
	Host    string    `json:"host"` // as DNS has it: lower case, xn--
	Site    string    `json:"site"` // id
	Token   string    `json:"token"`
	Created time.Time `json:"created"`
	Proved  time.Time `json:"proved"`  // zero: not yet
	Checked time.Time `json:"checked"` // last look at DNS
	Problem string    `json:"problem"` // what that look found wrong
}

// Active reports whether the host leads to the site.
func (d Domain) Active() bool { return !d.Proved.IsZero() }

const (
	maxDomains = 20                  // of a site
	provedIn   = 14 * 24 * time.Hour // then a domain that is not is forgotten
)

// DomainInfo is a domain with the name of its site.
type DomainInfo struct {
	Domain
	Name string
}

// AddDomain asks for a host as a name of a site; it works once CheckDomain, or the look that is taken every few
// minutes, finds its records in DNS. Asking again changes nothing. Invalid, Quota; Conflict if the host is asked for by
// another site of the same owner.
func (c *Cloud) AddDomain(ctx context.Context, who Who, name, host string) (info DomainInfo, err error) {
	err = c.changeSite(ctx, who, DomainAdd, name, host, func(_ Account, s Site) error {
		if c.Resolver == nil {
			return Errorf(Unavailable, "this gateway does not look at DNS, so no domain can be proved").WithHint("ask your admin")
		}
		if host, err = c.parseHost(host); err != nil {
			return err
		}
		d := Domain{Host: host, Site: s.ID, Token: c.token(16), Created: c.Now().UTC().Truncate(time.Second), Problem: "not looked for yet"}
		return c.Store.Update(ctx, func(tx Tx) error {
			all, err := tx.Domains()
			if err != nil {
				return err
			}
			if known, ok := sameDomain(all, d); ok {
				info = DomainInfo{known, s.Name}
				return nil
			}
			if err := c.roomFor(tx, all, d, s); err != nil {
				return err
			}
			info = DomainInfo{d, s.Name}
			return tx.PutDomain(d)
		})
	})
	return info, err
}

func sameDomain(all []Domain, d Domain) (Domain, bool) {
	i := slices.IndexFunc(all, func(o Domain) bool { return o.Host == d.Host && o.Site == d.Site })
	if i < 0 {
		return d, false
	}
	return all[i], true
}

func (c *Cloud) roomFor(tx Tx, all []Domain, d Domain, s Site) error {
	have := 0
	for _, o := range all {
		if o.Site == s.ID {
			have++
		}
		other, err := tx.Site(o.Site)
		if err == nil && o.Host == d.Host && other.Owner == s.Owner {
			return Errorf(Conflict, "domain %q is asked for by your site %q", d.Host, other.Name).
				WithHint("remove it there first: %s", c.Door.SSH("domain remove "+d.Host))
		}
	}
	if have >= maxDomains {
		return Errorf(Quota, "%q has %d of %d domains", s.Name, have, maxDomains).WithHint("remove one: %s", c.Door.SSH("domain remove HOST"))
	}
	return nil
}

// RemoveDomain takes a host from its site.
func (c *Cloud) RemoveDomain(ctx context.Context, who Who, host string) (info DomainInfo, err error) {
	err = c.doDomain(ctx, who, DomainRemove, host, func(d DomainInfo) error {
		info = d
		err := c.Store.Update(ctx, func(tx Tx) error { return tx.DeleteDomain(d.Host, d.Site) })
		if err != nil || !d.Active() {
			return err
		}
		return c.Publish(ctx)
	})
	return info, err
}

// CheckDomain looks the host's records up, says of each what it sees, and lets the host lead to its site once all are
// as they should be. Quota for who asks too often.
func (c *Cloud) CheckDomain(ctx context.Context, who Who, host string) (info DomainInfo, records []Record, err error) {
	err = c.doDomain(ctx, who, DomainCheck, host, func(d DomainInfo) error {
		if err = c.mayLook(who); err != nil {
			return err
		}
		if records, err = c.check(ctx, d); err != nil {
			return err
		}
		info.Name = d.Name
		return c.Store.View(ctx, func(tx Tx) (err error) {
			info.Domain, err = tx.Domain(d.Host, d.Site)
			return err
		})
	})
	return info, records, err
}

// DomainList lists the domains of the sites that the account owns or is a member of.
func (c *Cloud) DomainList(ctx context.Context, who Who) (list []DomainInfo, err error) {
	err = c.do(ctx, who, DomainList, "", func(a Account) error {
		return c.Store.View(ctx, func(tx Tx) error {
			all, err := tx.Domains()
			for _, d := range all {
				if s, err := tx.Site(d.Site); err == nil && s.UsableBy(a.Name) {
					list = append(list, DomainInfo{d, s.Name})
				}
			}
			return err
		})
	})
	return list, err
}

// DomainsOf are the domains of a site, for who may see it.
func (c *Cloud) DomainsOf(s Site) (list []Domain) {
	_ = c.Store.View(context.Background(), func(tx Tx) (err error) {
		list, err = tx.Domains()
		return err
	})
	return slices.DeleteFunc(list, func(d Domain) bool { return d.Site != s.ID })
}

// doDomain is do on a domain: on that of the acting account's site, if several ask for the host. Where the account may
// not see it, it is not found.
func (c *Cloud) doDomain(ctx context.Context, who Who, action Action, name string, fn func(DomainInfo) error) error {
	var info DomainInfo
	host := asHost(name)
	absent := Errorf(NotFound, "no domain %q", name).WithHint("yours are listed by %s", c.Door.SSH("domain list"))
	find := func() (t target, err error) {
		err = c.Store.View(ctx, func(tx Tx) error {
			var s Site
			info, s, err = domainFor(tx, who.Account, host)
			t = target{site: &s, absent: absent}
			return err
		})
		if KindOf(err) == NotFound {
			err = absent
		}
		return t, err
	}
	return c.gate(ctx, who, action, host, find, func(Account, target, *Event) error { return fn(info) })
}

// domainFor picks, of those who ask for a host, a site of the account, else the one that it leads to.
func domainFor(tx Tx, account, host string) (DomainInfo, Site, error) {
	all, err := tx.Domains()
	if err != nil {
		return DomainInfo{}, Site{}, err
	}
	all = slices.DeleteFunc(all, func(d Domain) bool { return d.Host != host })
	slices.SortStableFunc(all, func(a, b Domain) int { return cmp.Compare(b.Proved.Unix(), a.Proved.Unix()) })
	var chosen DomainInfo
	var of Site
	for _, d := range all {
		s, err := tx.Site(d.Site)
		if err == nil && (chosen.Host == "" || s.Owner == account && of.Owner != account) {
			chosen, of = DomainInfo{d, s.Name}, s
		}
	}
	if chosen.Host == "" {
		return chosen, of, Errorf(NotFound, "no such domain")
	}
	return chosen, of, nil
}
