package cloud

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/publicsuffix"
)

// Resolver asks DNS. Names end in a dot. A *net.Resolver is one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	// LookupNetIP follows CNAMEs; network is "ip".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

const (
	// proofLabel is put before a host for the name of its TXT record.
	proofLabel = "_nuage."
	proofValue = "nuage-site="

	lookTime    = 10 * time.Second // for the records of one domain
	domainEvery = 10 * time.Minute
	looksAtOnce = 8
)

// Record is one DNS record that a domain needs, and what was found in its place.
type Record struct {
	Name  string   `json:"name"`
	Type  string   `json:"type"` // CNAME, A or AAAA; TXT
	Value string   `json:"value"`
	Found []string `json:"found"`
	OK    bool     `json:"ok"`
	Note  string   `json:"note,omitempty"` // what is wrong
}

// Records are what has to stand in DNS for a domain. Where a host can have no CNAME, because it is the name that was
// registered, it has to have our addresses.
func (c *Cloud) Records(ctx context.Context, d DomainInfo) []Record {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	records := c.leads(ctx, d)
	return append(records, Record{Name: proofLabel + d.Host, Type: "TXT", Value: proofValue + d.Token, Found: []string{}})
}

func (c *Cloud) leads(ctx context.Context, d DomainInfo) (records []Record) {
	if registered, err := publicsuffix.EffectiveTLDPlusOne(d.Host); err == nil && registered == d.Host {
		ours, _ := c.ours(ctx, d.Name)
		for _, a := range ours {
			records = append(records, Record{Name: d.Host, Type: addressType(a), Value: a.String(), Found: []string{}})
		}
	}
	if len(records) == 0 {
		records = []Record{{Name: d.Host, Type: "CNAME", Value: d.Name, Found: []string{}}}
	}
	return records
}

func addressType(a netip.Addr) string {
	if a.Is4() {
		return "A"
	}
	return "AAAA"
}

// ours are the addresses at which the web finds us: those of the config, else those that the site's own name has.
func (c *Cloud) ours(ctx context.Context, site string) ([]netip.Addr, error) {
	if len(c.Addresses) > 0 {
		return c.Addresses, nil
	}
	return c.addressesOf(ctx, site)
}

func (c *Cloud) addressesOf(ctx context.Context, host string) ([]netip.Addr, error) {
	found, err := c.Resolver.LookupNetIP(ctx, "ip", host+".")
	if isAbsent(err) {
		return nil, nil
	}
	for i, a := range found {
		found[i] = a.Unmap()
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return slices.Compact(found), err
}

// look compares DNS with what a domain needs. An error means that DNS could not be asked.
func (c *Cloud) look(ctx context.Context, d DomainInfo) ([]Record, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	ours, err := c.ours(ctx, d.Name)
	if err != nil {
		return nil, fmt.Errorf("the addresses of %q: %w", d.Name, err)
	}
	found, err := c.addressesOf(ctx, d.Host)
	if err != nil {
		return nil, err
	}
	proofs, err := c.proofs(ctx, d.Host)
	if err != nil {
		return nil, err
	}
	records := c.Records(ctx, d)
	for i := range records {
		if r := &records[i]; r.Type == "TXT" {
			r.Found, r.OK = proofs, slices.Contains(proofs, r.Value)
			r.Note = wrongProof(*r)
		} else {
			r.Found, r.Note = texts(found), wrongAddress(found, ours)
			r.OK = r.Note == ""
		}
	}
	return records, nil
}

func (c *Cloud) proofs(ctx context.Context, host string) ([]string, error) {
	found, err := c.Resolver.LookupTXT(ctx, proofLabel+host+".")
	if isAbsent(err) {
		return []string{}, nil
	}
	return found, err
}

func isAbsent(err error) bool {
	var e *net.DNSError
	return errors.As(err, &e) && e.IsNotFound
}

func wrongProof(r Record) string {
	switch {
	case r.OK:
		return ""
	case len(r.Found) == 0:
		return "there is no such record"
	}
	return "it says something else"
}

// wrongAddress accepts a host of which every address is ours: visitors of any other would end up elsewhere.
func wrongAddress(found, ours []netip.Addr) string {
	var elsewhere []string
	for _, a := range found {
		if !slices.Contains(ours, a) {
			elsewhere = append(elsewhere, a.String())
		}
	}
	switch {
	case len(ours) == 0:
		return "this gateway does not know its own addresses; its admin sets dns.addresses"
	case len(found) == 0:
		return "there is no address"
	case len(elsewhere) > 0:
		return fmt.Sprintf("it leads to %s, which is not here (here is %s)", strings.Join(elsewhere, ", "), strings.Join(texts(ours), ", "))
	}
	return ""
}

func texts(addresses []netip.Addr) []string {
	list := []string{}
	for _, a := range addresses {
		list = append(list, a.String())
	}
	return list
}

// check looks at DNS and records what came of it: a domain whose records all stand is its site's, and no longer that
// of another site whose proof is gone.
func (c *Cloud) check(ctx context.Context, d DomainInfo) ([]Record, error) {
	records, err := c.look(ctx, d)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, Errorf(Unavailable, "DNS could not be asked for %q", d.Host).WithHint("try again in a moment").Because(err)
	}
	proofs := records[len(records)-1].Found
	changed := false
	err = c.Store.Update(ctx, func(tx Tx) error {
		now, err := tx.Domain(d.Host, d.Site)
		if err != nil {
			return err // removed since
		}
		now.Checked, now.Problem = c.Now().UTC().Truncate(time.Second), problemOf(records)
		if now.Problem == "" && !now.Active() {
			if now.Problem, err = c.takeOver(tx, now, proofs); err != nil {
				return err
			}
			if changed = now.Problem == ""; changed {
				now.Proved = now.Checked
			} else {
				last := &records[len(records)-1]
				last.OK, last.Note = false, now.Problem
			}
		}
		return tx.PutDomain(now)
	})
	if err != nil || !changed {
		return records, err
	}
	c.Log.Info("domain proved", "host", d.Host, "site", d.Name)
	return records, c.Publish(ctx)
}

// takeOver ends the claim of the site that had proved the host before, unless its proof still stands beside the new one:
// then nobody can say whose the host is.
func (c *Cloud) takeOver(tx Tx, d Domain, proofs []string) (problem string, err error) {
	all, err := tx.Domains()
	for _, o := range all {
		if o.Host != d.Host || o.Site == d.Site || !o.Active() {
			continue
		}
		if slices.Contains(proofs, proofValue+o.Token) {
			return "a second such record proves it for another site: remove that one", nil
		}
		c.Log.Warn("domain given up: it is proved for another site", "host", o.Host, "site", o.Site)
		if err := tx.DeleteDomain(o.Host, o.Site); err != nil {
			return "", err
		}
	}
	return "", err
}

func problemOf(records []Record) string {
	for _, r := range records {
		if !r.OK {
			return r.Type + " of " + r.Name + ": " + r.Note
		}
	}
	return ""
}

// CheckDomains looks at the records of all domains and forgets those that were not proved in time. What DNS does not
// answer for stays as it is.
func (c *Cloud) CheckDomains(ctx context.Context) {
	var due []DomainInfo
	err := c.Store.View(ctx, func(tx Tx) error {
		all, err := tx.Domains()
		for _, d := range all {
			if s, err := tx.Site(d.Site); err == nil {
				due = append(due, DomainInfo{d, s.Name})
			}
		}
		return err
	})
	if err != nil {
		c.Log.Warn("domains not checked", "err", err)
		return
	}
	var group sync.WaitGroup
	slots := make(chan struct{}, looksAtOnce)
	for _, d := range due {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			c.checkAgain(ctx, d)
		})
	}
	group.Wait()
}

func (c *Cloud) checkAgain(ctx context.Context, d DomainInfo) {
	_, err := c.check(ctx, d)
	if err != nil && KindOf(err) != NotFound && ctx.Err() == nil {
		c.Log.Warn("domain not checked", "host", d.Host, "err", err)
	}
	if d.Active() || !c.Clock.Steady() {
		return
	}
	switch age := c.Now().Sub(d.Created); {
	case age < 0: // it was asked for while the clock was ahead: its time begins now
		err = c.changeUnproved(ctx, d, func(tx Tx, d Domain) error {
			d.Created = c.Now().UTC().Truncate(time.Second)
			return tx.PutDomain(d)
		})
		c.Log.Info("domain dated anew", "host", d.Host, "site", d.Name, "was", d.Created, "err", err)
	case age >= provedIn:
		err = c.changeUnproved(ctx, d, func(tx Tx, d Domain) error { return tx.DeleteDomain(d.Host, d.Site) })
		c.Log.Info("domain forgotten: it was not proved in time", "host", d.Host, "site", d.Name, "err", err)
	}
}

// changeUnproved changes a domain, unless it has been proved or removed since.
func (c *Cloud) changeUnproved(ctx context.Context, d DomainInfo, fn func(Tx, Domain) error) error {
	return c.Store.Update(ctx, func(tx Tx) error {
		now, err := tx.Domain(d.Host, d.Site)
		if err != nil || now.Active() {
			return err
		}
		return fn(tx, now)
	})
}

// checkDomains does so every few minutes.
func (c *Cloud) checkDomains(ctx context.Context) {
	for c.Resolver != nil && ctx.Err() == nil {
		c.CheckDomains(ctx)
		wait(ctx, domainEvery)
	}
}
