package cloud_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
)

func newKey(t *testing.T) (line, fingerprint string) {
	t.Helper()
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(key)), ssh.FingerprintSHA256(key)
}

// clock is one that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// enrolment is a cloud with a school's rules, and a clock.
type enrolment struct {
	*testing.T
	live
	clock *clock
}

func newEnrolment(t *testing.T, rules cloud.Rules) *enrolment {
	t.Helper()
	c := newWorld(t).openWith(nil, func(o *cloud.Options) {
		o.Groups = append(o.Groups, cloud.Group{Name: "teachers", Network: netip.MustParsePrefix("127.69.0.0/24"), Limits: o.Groups[0].Limits})
	})
	t.Cleanup(c.Close)
	e := &enrolment{t, c, &clock{now: time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)}}
	c.Cloud.Rules, c.Cloud.Now = rules, e.clock.Now
	return e
}

func person(subject, name string) cloud.Person {
	return cloud.Person{Issuer: "https://sso", Subject: subject, Name: name}
}

// enrols gives a person a new key.
func (e *enrolment) enrols(p cloud.Person) cloud.Who {
	e.Helper()
	line, _ := newKey(e.T)
	return e.enrolsKey(p, line)
}

func (e *enrolment) enrolsKey(p cloud.Person, line string) cloud.Who {
	e.Helper()
	who, err := e.Enrol(e.Context(), p, line, "192.0.2.7:5000")
	if err != nil {
		e.Fatal(err)
	}
	return who
}

func (e *enrolment) refuses(kind cloud.Kind, p cloud.Person, words string) {
	e.Helper()
	line, fingerprint := newKey(e.T)
	_, err := e.Enrol(e.Context(), p, line, "192.0.2.7:5000")
	if cloud.KindOf(err) != kind || !strings.Contains(err.Error(), words) {
		e.Errorf("%+v: %v, want %s %q", p, err, kind, words)
	}
	if _, err := e.Authenticate(e.Context(), fingerprint); cloud.KindOf(err) != cloud.NotFound {
		e.Errorf("a key that was refused: %v", err)
	}
}

func (e *enrolment) account(name string) cloud.AccountInfo {
	e.Helper()
	a, err := e.Account(e.Context(), operator, name)
	if err != nil {
		e.Fatal(err)
	}
	return a
}

func (e *enrolment) set(name, pair string) {
	e.Helper()
	if err := e.SetAccount(e.Context(), operator, name, []string{pair}); err != nil {
		e.Fatal(err)
	}
}

func TestEnrol(t *testing.T) {
	t.Parallel()
	e := newEnrolment(t, cloud.Rules{})
	jean := e.enrols(person("1", "jean"))
	if a, err := e.WhoAmI(t.Context(), jean); err != nil || a.Name != "jean" || a.IsAdmin() {
		t.Errorf("%+v %v", a, err)
	}
	keys, err := e.Keys(t.Context(), jean, "jean")
	if err != nil || len(keys) != 1 || keys[0].Origin != "school login from 192.0.2.7" || !keys[0].Expires.IsZero() {
		t.Errorf("%+v %v", keys, err)
	}
	// The claim may change: the subject is who it is.
	if who := e.enrols(person("1", "jean.dupont")); who.Account != "jean" {
		t.Errorf("%+v", who)
	}
	// The same name is another person, also in other letters; so is the same subject of another server.
	e.refuses(cloud.Conflict, person("2", "jean"), "belongs to somebody else with that name")
	e.refuses(cloud.Conflict, person("2", "JEAN/"), "belongs to somebody else with that name")
	e.refuses(cloud.Conflict, cloud.Person{Issuer: "https://other", Subject: "1", Name: "jean"}, "belongs to somebody else")
	e.refuses(cloud.Invalid, person("", "anna"), "did not say who you are")
	e.refuses(cloud.Invalid, person("3", ""), "did not say your name")
}

func TestEnrolKeys(t *testing.T) {
	t.Parallel()
	e := newEnrolment(t, cloud.Rules{})
	line, _ := newKey(t)
	jean := e.enrolsKey(person("1", "jean"), line)
	if again := e.enrolsKey(person("1", "jean"), line); again != jean {
		t.Errorf("%+v, then %+v", jean, again)
	}
	if _, err := e.Enrol(t.Context(), person("2", "marie"), line, ""); cloud.KindOf(err) != cloud.Conflict {
		t.Errorf("a key of somebody else: %v", err)
	}
	if _, err := e.Account(t.Context(), operator, "marie"); cloud.KindOf(err) != cloud.NotFound {
		t.Errorf("an account is left: %v", err)
	}
	for _, bad := range []string{"", "hello", "ssh-rsa AAAA"} {
		if _, err := e.Enrol(t.Context(), person("2", "marie"), bad, ""); cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for range 49 {
		e.enrols(person("1", "jean"))
	}
	e.refuses(cloud.Quota, person("1", "jean"), "50 of 50 keys")
}

func TestEnrolLinks(t *testing.T) {
	t.Parallel()
	e := newEnrolment(t, cloud.Rules{})
	if _, err := e.AddAccount(t.Context(), operator, cloud.NewAccount{Name: "jean", Admin: true}); err != nil {
		t.Fatal(err)
	}
	e.refuses(cloud.Conflict, person("1", "jean"), "an admin made, and nobody said that it is yours")
	e.set("jean", "link=yes")
	e.enrols(person("1", "jean"))
	if a := e.account("jean"); a.Link || a.School == nil || a.School.Subject != "1" || !a.IsAdmin() {
		t.Errorf("%+v", a)
	}
	// Once only.
	e.refuses(cloud.Conflict, person("2", "jean"), "belongs to somebody else")
	e.set("jean", "link=yes")
	e.set("jean", "link=")
	e.refuses(cloud.Conflict, person("2", "jean"), "belongs to somebody else")
	// To a new login server, and to none.
	e.set("jean", "link=yes")
	e.enrols(person("2", "jean"))
	e.refuses(cloud.Conflict, person("1", "jean"), "belongs to somebody else")
	e.set("jean", "link=no")
	if a := e.account("jean"); a.School != nil {
		t.Errorf("%+v", a)
	}

	// By the config, which does not take from one person for another.
	e.Cloud.Rules.Link = true
	e.enrols(person("3", "jean"))
	e.refuses(cloud.Conflict, person("4", "jean"), "belongs to somebody else")
	if err := e.SetAccount(t.Context(), operator, "jean", []string{"link=maybe"}); cloud.KindOf(err) != cloud.Invalid {
		t.Error(err)
	}
}

// TestLookAlikesRegression: accounts that were made by hand go to who has their very name, not to who has one that becomes it.
func TestLookAlikesRegression(t *testing.T) {
	t.Parallel()
	e := newEnrolment(t, cloud.Rules{Link: true})
	for _, name := range []string{"kevin", "jean-dupont", "u220", "anna"} {
		if _, err := e.AddAccount(t.Context(), operator, cloud.NewAccount{Name: name, Admin: true}); err != nil {
			t.Fatal(err)
		}
	}
	e.enrols(person("0", "\u212aevin")) // the Kelvin sign
	if a := e.account("kevin"); a.School != nil {
		t.Errorf("%+v", a)
	}
	for _, claim := range []string{"jean+dupont", "jean dupont", "-anna", "éanna"} {
		e.refuses(cloud.Conflict, person("1", claim), "an admin made, and nobody said that it is yours")
	}
	for subject, claim := range map[string]string{"2": "Jean-Dupont", "3": "220", "4": " anna "} {
		e.enrols(person(subject, claim))
	}
}

// TestEnrolClaims: what the claims change is changed, what an admin set in between stays.
// TestEnrolGroups: the group follows its claim from one login to the next, and what an admin set in between stays until the
// claim says something else.
func TestEnrolGroups(t *testing.T) {
	t.Parallel()
	e := newEnrolment(t, cloud.Rules{Groups: map[string]string{"etudiants": "students", "profs": "teachers"}})
	p := person("1", "jean")
	is := func(claim, group string) {
		t.Helper()
		p.Groups = []string{claim}
		e.enrols(p)
		if a := e.account("jean"); a.Group != group {
			t.Errorf("%s: group %s, want %s", claim, a.Group, group)
		}
	}
	is("etudiants", "students")
	is("profs", "teachers")
	e.set("jean", "group=students")
	is("profs", "students")
	is("etudiants", "students")
	is("profs", "teachers")
	p.Groups = []string{"alumni"}
	e.refuses(cloud.Denied, p, "none of your groups")
	if a := e.account("jean"); a.Group != "teachers" {
		t.Errorf("after a refusal: group %s", a.Group)
	}
}

func TestEnrolClaims(t *testing.T) {
	t.Parallel()
	e := newEnrolment(t, cloud.Rules{})
	p := person("1", "jean")
	is := func(role cloud.Role) {
		t.Helper()
		e.enrols(p)
		if a := e.account("jean"); a.Role != role {
			t.Errorf("role %s, want %s", a.Role, role)
		}
	}
	is(cloud.Member)
	p.Admin = true
	is(cloud.Admin)
	e.set("jean", "role=member") // by hand, while the claim still says so
	is(cloud.Member)
	p.Admin = false
	is(cloud.Member)
	e.set("jean", "role=admin")
	is(cloud.Admin)
	p.Admin = true
	is(cloud.Admin)
	p.Admin = false
	is(cloud.Member)
}

func TestEnrolDisabled(t *testing.T) {
	t.Parallel()
	e := newEnrolment(t, cloud.Rules{})
	e.enrols(person("1", "jean"))
	if err := e.DisableAccount(t.Context(), operator, "jean"); err != nil {
		t.Fatal(err)
	}
	e.refuses(cloud.Denied, person("1", "jean"), "disabled")
}

func TestKeyAge(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	e := newEnrolment(t, cloud.Rules{MaxAge: 180 * day})
	var mu sync.Mutex
	var revoked []string
	e.Cloud.Revoked = func(account, key string) {
		mu.Lock()
		defer mu.Unlock()
		revoked = append(revoked, account+key)
	}
	jean := e.enrols(person("1", "jean"))
	line, fingerprint := newKey(t)
	if _, err := e.AddKey(t.Context(), jean, "jean", line, ""); err != nil {
		t.Fatal(err)
	}
	byHand := cloud.Who{Account: "jean", Key: fingerprint}
	warned := func() bool {
		t.Helper()
		lines, err := e.Greet(t.Context(), jean)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(strings.Join(lines, "\n"), "your keys expire on 2027-05-01")
	}
	e.clock.pass(172 * day)
	if warned() {
		t.Error("warned too early")
	}
	e.clock.pass(2 * day)
	if !warned() {
		t.Error("not warned")
	}
	for _, who := range []cloud.Who{jean, byHand} {
		if _, err := e.WhoAmI(t.Context(), who); err != nil {
			t.Error(err)
		}
	}
	e.clock.pass(7 * day)
	for _, who := range []cloud.Who{jean, byHand} {
		if _, err := e.WhoAmI(t.Context(), who); cloud.KindOf(err) != cloud.Denied {
			t.Errorf("an open session: %v", err)
		}
		if _, err := e.Authenticate(t.Context(), who.Key); !errors.Is(err, cloud.ErrStale) || cloud.KindOf(err) != cloud.Denied {
			t.Errorf("a login: %v", err)
		}
	}
	if err := e.EndStale(t.Context()); err != nil || strings.Join(revoked, " ") != "jean" {
		t.Errorf("hung up on %v (%v)", revoked, err)
	}
	e.enrols(person("1", "jean"))
	for _, who := range []cloud.Who{jean, byHand} {
		if _, err := e.WhoAmI(t.Context(), who); err != nil {
			t.Errorf("renewed: %v", err)
		}
	}
	if warned() {
		t.Error("warned after a login")
	}
}

// TestGreet: each key hears of each other once, and who comes with a new one hears for itself alone.
func TestGreet(t *testing.T) {
	t.Parallel()
	e := newEnrolment(t, cloud.Rules{})
	hears := func(who cloud.Who, of ...cloud.Who) {
		t.Helper()
		e.clock.pass(time.Second)
		lines, err := e.Greet(context.Background(), who)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(lines, "\n")
		if strings.Count(text, "your account got the key") != len(of) {
			t.Errorf("heard %q", text)
		}
		for _, other := range of {
			if !strings.Contains(text, other.Key+" on 2026-11-02") || !strings.Contains(text, "key remove FINGERPRINT") {
				t.Errorf("heard %q, want %s", text, other.Key)
			}
		}
	}
	a := e.enrols(person("1", "jean"))
	hears(a)
	thief := e.enrols(person("1", "jean"))
	hears(thief, a)
	hears(thief)
	hears(a, thief)
	hears(a)
	b := e.enrols(person("1", "jean"))
	hears(b, a, thief)
	hears(a, b)
	hears(thief, b)

	keys, err := e.Keys(context.Background(), a, "jean")
	if err != nil || keys[0].Used.Format(time.DateOnly) != "2026-11-02" {
		t.Errorf("%+v %v", keys, err)
	}
	// Nobody is told who has no key here.
	for _, who := range []cloud.Who{operator, {Account: "jean", Key: "SHA256:other"}, {Account: "jean", Certificate: cloud.UserCert{Authority: "SHA256:ca"}}} {
		if lines, err := e.Greet(context.Background(), who); err != nil || len(lines) > 0 {
			t.Errorf("%+v heard %q %v", who, lines, err)
		}
	}
	for range 7 {
		e.enrols(person("1", "jean"))
	}
	lines, err := e.Greet(context.Background(), a)
	if err != nil || len(lines) != 5+1+1 || !strings.Contains(lines[5], "and 2 more") {
		t.Errorf("%q %v", lines, err)
	}
}

func TestInviteNobody(t *testing.T) {
	t.Parallel()
	e := newEnrolment(t, cloud.Rules{})
	if _, err := e.Invite(t.Context()); cloud.KindOf(err) != cloud.NotFound {
		t.Error(err)
	}
}
