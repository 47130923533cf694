package cloud

import (
	"context"
	"net"
	"time"
)

// Enrol gives the account of a person the key that has signed, and makes the account where there is none. A key that
// the account has already is let be: the login renews all of them. Nobody who asks has an account yet, so it is not do
// but the login server that decides. Conflict where the name or the key is somebody else's.
func (c *Cloud) Enrol(ctx context.Context, p Person, key, address string) (who Who, err error) {
	who = Who{Address: address}
	var made bool
	defer func() {
		if err != nil {
			err = c.explain(err, KeyEnrol, short(p.Name))
		}
		if made && err == nil {
			c.record(newEvent(who, AccountEnrol, who.Account), nil)
		}
		c.record(newEvent(who, KeyEnrol, p.Name), err)
	}()
	k, err := ParseKey(key)
	if err != nil {
		return who, err
	}
	who.Key = k.Fingerprint
	err = c.Store.Update(ctx, func(tx Tx) error {
		var a Account
		if a, made, err = c.schoolAccount(tx, p); err != nil {
			return err
		}
		who.Account = a.Name
		if err := tx.PutAccount(a); err != nil {
			return err
		}
		return c.enrolKey(tx, a, k, address)
	})
	if err == nil {
		c.reviewAccount(ctx, who.Account) // the claims may have taken a role away
	}
	return who, err
}

// schoolAccount finds, links or makes the account of a person, as of this login.
func (c *Cloud) schoolAccount(tx Tx, p Person) (a Account, made bool, err error) {
	group, err := c.Rules.group(p)
	if err != nil {
		return a, false, err
	}
	a, found, err := boundTo(tx, p)
	if err == nil && !found {
		a, made, err = c.namedAfter(tx, p, group)
	}
	switch {
	case err != nil:
		return a, made, err
	case a.Disabled:
		return a, made, disabled(a)
	}
	was := SchoolLogin{}
	if a.School != nil {
		was = *a.School
	}
	if group != "" && group != was.Group {
		a.Group = group
	}
	if p.Admin != was.Admin {
		a.Role = map[bool]Role{true: Admin, false: Member}[p.Admin]
	}
	a.Link = false
	a.School = &SchoolLogin{Issuer: p.Issuer, Subject: p.Subject, Name: short(p.Name), Group: group, Admin: p.Admin, At: c.Now().UTC().Truncate(time.Second)}
	return a, made, nil
}

func boundTo(tx Tx, p Person) (a Account, found bool, err error) {
	if p.Issuer == "" || p.Subject == "" {
		return a, false, Errorf(Invalid, "the school login did not say who you are").WithHint("tell your admin")
	}
	all, err := tx.Accounts()
	for _, a := range all {
		if a.School != nil && a.School.Issuer == p.Issuer && a.School.Subject == p.Subject {
			return a, true, nil
		}
	}
	return a, false, err
}

// namedAfter is the account that has the name of a person who has none: a new one, or one that may be linked.
func (c *Cloud) namedAfter(tx Tx, p Person, group string) (a Account, made bool, err error) {
	name, err := c.Rules.accountName(p.Name)
	if err != nil {
		return a, false, err
	}
	a, err = tx.Account(name)
	switch {
	case KindOf(err) == NotFound:
		a, err = c.draftAccount(NewAccount{Name: name, Group: group})
		return a, true, err
	case err != nil:
		return a, false, err
	case a.Link, a.School == nil && c.Rules.Link && c.Rules.isNamed(p.Name, name):
		return a, false, nil
	case a.School == nil:
		return a, false, Errorf(Conflict, "there is an account %q that an admin made, and nobody said that it is yours", name).
			WithHint("if it is, ask an admin for: %s", c.Door.SSH("account set "+name+" link=yes"))
	}
	return a, false, Errorf(Conflict, "account %q belongs to somebody else with that name at the school login", name).
		WithHint("ask an admin; if it is you with a new login: %s", c.Door.SSH("account set "+name+" link=yes"))
}

func (c *Cloud) enrolKey(tx Tx, a Account, k Key, address string) error {
	err := c.free(tx, a.Name, k.Fingerprint)
	if KindOf(err) == Conflict {
		if had, err := tx.Key(k.Fingerprint); err == nil && had.Account == a.Name {
			return nil
		}
	}
	if err != nil {
		return err
	}
	k.Account, k.Origin, k.Created = a.Name, "school login from "+hostOf(address), c.Now().UTC()
	return putKey(tx, k)
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
