package cloud

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// School is the login server that knows everybody. Errors are Unavailable where it does not answer, or as the person
// may read them.
type School interface {
	// Begin asks for a code that somebody can log in with, in any browser anywhere.
	Begin(ctx context.Context) (Invitation, error)
}

// Invitation is a login that has begun (RFC 8628).
type Invitation struct {
	Link     string // to type
	Complete string // the same with the code in it; "" where the server gives none
	Code     string
	Expires  time.Time

	// Wait returns who logged in. Denied where the person refused or came too late, Unavailable where the server went away.
	Wait func(ctx context.Context) (Person, error)
}

// Person is who the login server says somebody is.
type Person struct {
	Issuer, Subject string // who it is, for ever

	Name   string   // as the claim has it
	Groups []string // values of the group claim
	Admin  bool     // by the admin claim
}

// Rules say what a Person is here.
type Rules struct {
	Domain string            // names are under it, and lose it: "jean@plil.net" is jean
	Groups map[string]string // value of the group claim to group; "*" is any. nil: there is no such claim
	Order  []string          // of groups, where somebody is in several
	Link   bool              // accounts that were made by hand go to who has their name at the login server
	MaxAge time.Duration     // keys let in for so long after the last login there; 0: for ever
}

// ErrStale is in the chain of the error for a key whose account has not logged in at the school for too long.
var ErrStale = errors.New("stale")

// Invite begins a login at the school. NotFound where there is no school to ask.
func (c *Cloud) Invite(ctx context.Context) (Invitation, error) {
	if c.School == nil {
		return Invitation{}, Errorf(NotFound, "there is no school login here").WithHint("an admin adds your key")
	}
	return c.School.Begin(ctx)
}

// accountName makes a name of a claim: in small letters, without the domain, anything odd a "-". It never guesses
// who is who: names that become the same are refused to the second person.
func (r Rules) accountName(claim string) (string, error) {
	const most = 128
	ask := func(e *Error) error {
		return e.WithHint("ask your admin: oidc.account_claim and oidc.account_domain decide, or an account made by hand with link=yes")
	}
	switch {
	case strings.TrimSpace(claim) == "":
		return "", ask(Errorf(Invalid, "the school login did not say your name"))
	case len(claim) > most:
		return "", ask(Errorf(Invalid, "the school login calls you %q, which has %d bytes; the limit is %d", claim[:20]+"…", len(claim), most))
	}
	name, domain, found := strings.Cut(small(strings.TrimSpace(claim)), "@")
	if found && (r.Domain == "" || domain != small(r.Domain)) {
		return "", ask(Errorf(Denied, "the school login calls you %q, which is not under %q", claim, r.Domain))
	}
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '_' {
			return r
		}
		return '-'
	}, name)
	name = strings.Join(strings.FieldsFunc(name, func(r rune) bool { return r == '-' }), "-")
	name = strings.Trim(name, "._-")
	if name != "" && name[0] <= '9' {
		name = "u" + name // student numbers
	}
	if _, err := ParseAccountName(name); err != nil {
		return "", ask(Errorf(Invalid, "the school login calls you %q, which gives no account name", claim).Because(err))
	}
	return name, nil
}

// small are the small letters of ASCII: those of Unicode make a k of the Kelvin sign, and one person of two.
func small(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// isNamed reports whether a claim is the name that was made of it, and not only like it: "évin" gives "vin" too. Digits
// alone are a number of one person.
func (r Rules) isNamed(claim, name string) bool {
	called, _, _ := strings.Cut(small(strings.TrimSpace(claim)), "@")
	return called == name || "u"+called == name
}

// group is that of a person by the table; "" where the config has none.
func (r Rules) group(p Person) (string, error) {
	if r.Groups == nil {
		return "", nil
	}
	var found []string
	for _, value := range p.Groups {
		if g, ok := r.Groups[value]; ok && !slices.Contains(found, g) {
			found = append(found, g)
		}
	}
	if any, ok := r.Groups["*"]; ok && len(found) == 0 {
		found = []string{any}
	}
	switch len(found) {
	case 0:
		return "", Errorf(Denied, "none of your groups at the school is let in here").WithHint("ask your admin: [oidc.groups] decides")
	case 1:
		return found[0], nil
	}
	for _, g := range r.Order {
		if slices.Contains(found, g) {
			return g, nil
		}
	}
	return "", Errorf(Denied, "your groups at the school lead to several here: %s", strings.Join(found, ", ")).
		WithHint("ask your admin: oidc.group_order decides")
}

// SchoolLogin binds an account to a person. What the claims change from one login to the next is changed; what
// an admin set by hand in between stays.
type SchoolLogin struct {
	Issuer  string    `json:"issuer"`
	Subject string    `json:"subject"`
	Name    string    `json:"name"`  // the claim
	Group   string    `json:"group"` // what the claims said last; "" if nothing
	Admin   bool      `json:"admin"`
	At      time.Time `json:"at"` // of the last login there
}

// expiry is when the keys of an account stop letting in; zero: never.
func (c *Cloud) expiry(a Account) time.Time {
	if a.School == nil || c.Rules.MaxAge == 0 {
		return time.Time{}
	}
	return a.School.At.Add(c.Rules.MaxAge)
}

// expired reports whether the keys of an account let in no more. A clock that has jumped ahead shuts nobody out before it
// is believed.
func (c *Cloud) expired(a Account) bool {
	end := c.expiry(a)
	return !end.IsZero() && !c.surely().Before(end)
}

// surely is a time that has come, also if the clock turns out to be ahead.
func (c *Cloud) surely() time.Time { return c.Now().Add(-c.Clock.ahead()) }

// standing refuses an account that is disabled, or whose last login at the school is too long ago.
func (c *Cloud) standing(a Account) error {
	if a.Disabled {
		return disabled(a)
	}
	if c.expired(a) {
		return Errorf(Denied, "the last school login of account %q was on %s, and keys expire after %s", a.Name,
			a.School.At.Format(time.DateOnly), formatAge(c.Rules.MaxAge)).
			WithHint("log in there again, once for all keys: %s", c.Door.Enrol()).Because(ErrStale)
	}
	return nil
}
