package cloud

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Role is what an account may do beyond its own things.
type Role string

// The roles.
const (
	Member Role = "member"
	Admin  Role = "admin"
)

// Account is a person. Its name is its identity: there is no rename.
type Account struct {
	Name     string    `json:"name"`
	Group    string    `json:"group"`
	Role     Role      `json:"role"`
	Disabled bool      `json:"disabled"`
	Created  time.Time `json:"created"`

	School *SchoolLogin `json:"school,omitempty"` // nil: an admin made it
	Link   bool         `json:"link,omitempty"`   // who has its name at the school login next gets it
	Keyed  time.Time    `json:"keyed,omitzero"`   // when it got its newest key: see Greet

	// Exceptions to the limits of its group; nil fields are the group's.
	Exceptions Exceptions `json:"exceptions"`
}

// IsAdmin reports whether the account may act on everybody's things.
func (a Account) IsAdmin() bool { return a.Role == Admin }

var accountName = regexp.MustCompile(`^[a-z][a-z0-9]*([._-][a-z0-9]+)*$`)

const maxAccountName = 32

// reservedAccounts are names that would be taken for somebody else.
var reservedAccounts = []string{Operator, "nobody", Enroller, "git", "anonymous"}

// ParseAccountName checks a name: 1 to 32 of a–z, 0–9 and single . _ - between them, a letter first.
func ParseAccountName(s string) (string, error) {
	switch {
	case len(s) > maxAccountName:
		return "", Errorf(Invalid, "account name %q has %d characters; the limit is %d", s, len(s), maxAccountName)
	case !accountName.MatchString(s):
		return "", Errorf(Invalid, "account name %q is not valid", s).
			WithHint("use a-z and 0-9, with single . _ - between them, a letter first")
	case slices.Contains(reservedAccounts, s):
		return "", Errorf(Invalid, "account name %q is reserved", s).WithHint("choose another name")
	}
	return s, nil
}

// NewAccount is what is asked for in AddAccount.
type NewAccount struct {
	Name  string
	Group string // "": the default group
	Admin bool
	Key   string // an authorized_keys line; "" for none
}

// AccountInfo is an account with what it has and may have.
type AccountInfo struct {
	Account
	Limits Limits `json:"limits"`
	Keys   int    `json:"keys"`
	Sites  int    `json:"sites"`
}

// WhoAmI tells an account of itself.
func (c *Cloud) WhoAmI(ctx context.Context, who Who) (a Account, err error) {
	err = c.do(ctx, who, WhoAmI, who.Account, func(acting Account) error {
		a = acting
		return nil
	})
	return a, err
}

// AddAccount makes an account, with its first key if one is given. Conflict if the name or the key is taken.
func (c *Cloud) AddAccount(ctx context.Context, who Who, n NewAccount) (a Account, err error) {
	err = c.doAccount(ctx, who, AccountAdd, n.Name, func(e *Event) error {
		if a, err = c.draftAccount(n); err != nil {
			return err
		}
		e.Detail = fmt.Sprintf("%s of %s", a.Role, a.Group)
		return c.Store.Update(ctx, func(tx Tx) error {
			if _, err := tx.Account(a.Name); KindOf(err) != NotFound {
				return orElse(err, Errorf(Conflict, "account %q exists", a.Name).WithHint("choose another name, or see it with account info"))
			}
			if err := tx.PutAccount(a); err != nil || n.Key == "" {
				return err
			}
			_, err := c.addKey(tx, a.Name, n.Key, "", who)
			return err
		})
	})
	return a, err
}

func (c *Cloud) draftAccount(n NewAccount) (Account, error) {
	if n.Group == "" {
		n.Group = c.DefaultGroup
	}
	a := Account{Group: n.Group, Role: Member, Created: c.Now().UTC().Truncate(time.Second)}
	if n.Admin {
		a.Role = Admin
	}
	var err error
	if a.Name, err = ParseAccountName(n.Name); err != nil {
		return a, err
	}
	return a, c.checkGroup(n.Group)
}

func (c *Cloud) checkGroup(name string) error {
	if _, ok := c.groups[name]; ok {
		return nil
	}
	return Errorf(Invalid, "there is no group %q", name).WithHint("the groups are %s", strings.Join(c.groupNames(), ", "))
}

// orElse returns err, or other if err is nil.
func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// Accounts lists all accounts.
func (c *Cloud) Accounts(ctx context.Context, who Who) (list []AccountInfo, err error) {
	err = c.do(ctx, who, AccountList, "", func(Account) error {
		list, err = c.accounts(ctx)
		return err
	})
	return list, err
}

// Account tells of one account.
func (c *Cloud) Account(ctx context.Context, who Who, name string) (info AccountInfo, err error) {
	err = c.doAccount(ctx, who, AccountInfoOf, name, func(*Event) error {
		list, err := c.accounts(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(a AccountInfo) bool { return a.Name == name })
		if i < 0 {
			return noAccount(name)
		}
		info = list[i]
		return nil
	})
	return info, err
}

func (c *Cloud) accounts(ctx context.Context) (list []AccountInfo, err error) {
	err = c.Store.View(ctx, func(tx Tx) error {
		accounts, err := tx.Accounts()
		if err != nil {
			return err
		}
		keys, err := tx.Keys("")
		if err != nil {
			return err
		}
		sites, err := tx.Sites()
		if err != nil {
			return err
		}
		for _, a := range accounts {
			info := AccountInfo{Account: a, Limits: c.Limits(a)}
			for _, k := range keys {
				if k.Account == a.Name {
					info.Keys++
				}
			}
			for _, s := range sites {
				if s.Owner == a.Name {
					info.Sites++
				}
			}
			list = append(list, info)
		}
		return nil
	})
	return list, err
}

// DisableAccount shuts an account out and leaves its things as they are.
func (c *Cloud) DisableAccount(ctx context.Context, who Who, name string) error {
	err := c.changeAccount(ctx, who, AccountDisable, name, "", func(_ Tx, a *Account) error {
		if name == who.Account {
			return Errorf(Denied, "you cannot disable yourself").WithHint("ask another admin")
		}
		a.Disabled = true
		return nil
	})
	if err == nil {
		c.Revoked(name, "")
	}
	return err
}

// EnableAccount lets a disabled account in again.
func (c *Cloud) EnableAccount(ctx context.Context, who Who, name string) error {
	return c.changeAccount(ctx, who, AccountEnable, name, "", func(_ Tx, a *Account) error {
		a.Disabled = false
		return nil
	})
}

// DeleteAccount removes an account with its keys and memberships. Conflict while it owns sites.
func (c *Cloud) DeleteAccount(ctx context.Context, who Who, name string) error {
	err := c.doAccount(ctx, who, AccountDelete, name, func(*Event) error {
		if name == who.Account {
			return Errorf(Denied, "you cannot delete yourself").WithHint("ask another admin")
		}
		return c.removeAccount(ctx, name)
	})
	if err == nil {
		c.Revoked(name, "")
	}
	return err
}

func (c *Cloud) removeAccount(ctx context.Context, name string) error {
	free := func(tx Tx) error {
		if _, err := c.person(tx, name); err != nil {
			return err
		}
		return c.ownsNothing(tx, name)
	}
	if err := c.Store.View(ctx, free); err != nil {
		return err
	}
	if err := c.leaveAll(ctx, name); err != nil {
		return err
	}
	return c.Store.Update(ctx, func(tx Tx) error {
		if err := orElse(free(tx), memberOfNothing(tx, name)); err != nil {
			return err
		}
		keys, err := tx.Keys(name)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := tx.DeleteKey(k.Fingerprint); err != nil {
				return err
			}
		}
		return tx.DeleteAccount(name)
	})
}

func (c *Cloud) ownsNothing(tx Tx, name string) error {
	sites, err := tx.Sites()
	if err != nil {
		return err
	}
	var owned []string
	for _, s := range sites {
		if s.Owner == name {
			owned = append(owned, s.Name)
		}
	}
	if len(owned) == 0 {
		return nil
	}
	return Errorf(Conflict, "account %q owns %d sites: %s", name, len(owned), strings.Join(owned, ", ")).
		WithHint("delete them first with %s, or only shut the account out with %s",
			c.Door.SSH("site delete "+owned[0]), c.Door.SSH("account disable "+name))
}

// changeAccount changes one record in one transaction. The audit tells detail of it if it is done.
func (c *Cloud) changeAccount(ctx context.Context, who Who, action Action, name, detail string, fn func(Tx, *Account) error) error {
	return c.doAccount(ctx, who, action, name, func(e *Event) error {
		e.Detail = detail
		return c.Store.Update(ctx, func(tx Tx) error {
			a, err := c.person(tx, name)
			if err != nil {
				return err
			}
			if err := fn(tx, &a); err != nil {
				return err
			}
			return tx.PutAccount(a)
		})
	})
}

// person finds an account that the store has a record of: not the operator.
func (c *Cloud) person(tx Tx, name string) (Account, error) {
	if name == Operator {
		return Account{}, Errorf(Denied, "the operator is built in: it cannot be changed").
			WithHint("make an account: %s", c.Door.SSH("account add NAME --admin"))
	}
	return c.account(tx, name)
}

// account finds an account, or the operator.
func (c *Cloud) account(tx Tx, name string) (Account, error) {
	if name == Operator {
		return c.operator(), nil
	}
	a, err := tx.Account(name)
	if KindOf(err) == NotFound {
		return a, noAccount(name)
	}
	return a, err
}

func (c *Cloud) operator() Account {
	return Account{Name: Operator, Group: c.DefaultGroup, Role: Admin, Created: c.started}
}

func noAccount(name string) error {
	return Errorf(NotFound, "no account %q", name).WithHint("all are listed by account list")
}
