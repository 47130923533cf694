// Package cloud is the house's middle: its nouns (account, key, group, site, route, event), the rules about
// them, and the verbs that people ask for. Each verb goes through one gate, Cloud.do, which asks the policy,
// acts and writes the audit. The interfaces it calls (Store, Engine, Homes, Publisher) stand beside their
// nouns. It knows no SSH, no HTTP, no Docker and no file format.
package cloud

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what a Cloud is made of. All but Certificates, Hits, Log, Now, Random and Fault are needed.
type Options struct {
	Store     Store
	Engine    Engine
	Homes     Homes
	Publisher Publisher
	Hits      Hits    // nil: no access logs
	Archive   Archive // nil: no backup of homes
	// Certificates may be nil, and may be set after New, as Publisher may.
	Certificates Certificates

	Groups       []Group
	DefaultGroup string
	Images       map[string]string // that sites may choose by name
	CountMost    time.Duration     // that counting a home with a limit may take before its site has to rest; 2 min if 0
	HealAfter    time.Duration     // until a site that died is started again for the first time; 2 s if 0
	WakeTime     time.Duration     // for a site to come up, whoever still waits for it; 30 s if 0
	Host         func() HostUse    // may be nil
	Pressed      func() bool       // whether the host is short of memory; may be nil
	// Resolver asks DNS about domains of people's own; nil: they cannot be added. Addresses are those at which the web
	// finds us; without them, those that the names of sites have.
	Resolver  Resolver
	Addresses []netip.Addr
	Domain    string // the default one
	Door      Door

	OperatorKey string   // fingerprint of the host's own admin key
	School      School   // nil: admins add the keys
	Rules       Rules    // of the school
	Authorities []string // fingerprints of the keys whose user certificates let in
	// CertRevoked reports whether a user certificate is no longer good; it is asked at each verb. May be nil.
	CertRevoked func(UserCert) bool
	// CertTrouble says why no user certificate is good, "" if some may be. May be nil.
	CertTrouble func() string
	RootCA      string // PEM of the local authority, "" where there is none
	Version     string

	FirstUID int  // the first site's uid and gid
	SameUID  bool // all sites have FirstUID: a gateway that is not root can give files to nobody else

	// Revoked is told that an account lost a key (or all of them, with ""): whoever is logged in with it must go. May
	// be nil; must not block.
	Revoked func(account, fingerprint string)

	Witness   Witness       // may be nil
	AuditKeep time.Duration // events older than this go; 0: only too many do
	AuditMost int           // events of each Shelf that stay; 250,000 if 0

	Log    *slog.Logger
	Now    func() time.Time
	Clock  *Clock // may be nil: then Now is believed
	Random io.Reader
	// Fault is called with the name of each step of the verbs that make and unmake; tests cut there.
	Fault func(step string)
}

// Cloud runs the verbs. Its methods may be called concurrently.
type Cloud struct {
	Options
	domains Domains
	groups  map[string]Group
	started time.Time

	audit   *audit
	often   often
	locks   locks
	disks   sync.Mutex                        // one change of a limit at a time
	table   atomic.Pointer[map[string]*Site]  // by id, as last published; never changed
	hosts   atomic.Pointer[map[string]string] // domains that lead to a site, with its id
	publish publishing
	looks   pace
	holds   holds
	leases  leases
	wakes   wakes
	chores  chan struct{} // full while atOnce are under way
	rollout rollout
	images  images
	life    context.Context // until Close
	end     context.CancelFunc
	sure    sure
	lodged  sync.Map // ids of static sites that shall have a container now
	tries   tries
	repairs repairs
	deaths  deaths
	healing sync.WaitGroup
}

// New makes a Cloud. Its Publisher and Revoked, which will need the Cloud, may be set after it, before the first verb. Run
// keeps the world as its store says; Close ends it.
func New(o Options) (*Cloud, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CountMost == 0 {
		o.CountMost = countMost
	}
	if o.AuditMost == 0 {
		o.AuditMost = keptEvents
	}
	if o.HealAfter == 0 {
		o.HealAfter = healAfter
	}
	if o.WakeTime == 0 {
		o.WakeTime = wakeTime
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Hits == nil {
		o.Hits = noHits{}
	}
	if o.Revoked == nil {
		o.Revoked = func(string, string) {}
	}
	if o.Witness == nil {
		o.Witness = Witnesses{}
	}
	if o.Fault == nil {
		o.Fault = func(string) {}
	}
	c := &Cloud{Options: o, groups: map[string]Group{}, started: o.Now(), chores: make(chan struct{}, atOnce)}
	c.domains = Domains{o.Domain}
	for _, g := range o.Groups {
		c.groups[g.Name] = g
		c.domains = append(c.domains, g.Domains...)
	}
	if _, ok := c.groups[o.DefaultGroup]; !ok {
		return nil, Errorf(Invalid, "the default group %q is not among the groups", o.DefaultGroup)
	}
	c.life, c.end = context.WithCancel(context.Background())
	c.audit = newAudit(c.Options)
	c.setTable(nil, nil)
	return c, nil
}

// Close ends what goes on by itself and writes what is left of the audit. No verb may be called after it.
func (c *Cloud) Close() {
	c.end()
	c.wakes.all.Wait()
	c.audit.close()
}

// Domains are the domains that sites may be named under.
func (c *Cloud) Domains() Domains { return c.domains }

// do is the one gate for what people ask for: who may? → act → audit. fn gets the account that acts, as the
// store has it now. What do returns is an *Error that may be shown; what was unexpected in it is in the log.
func (c *Cloud) do(ctx context.Context, who Who, action Action, on string, fn func(Account) error) error {
	return c.gate(ctx, who, action, on, func() (target, error) { return target{}, nil },
		func(a Account, _ target, _ *Event) error { return fn(a) })
}

// doAccount is do on an account.
func (c *Cloud) doAccount(ctx context.Context, who Who, action Action, name string, fn func(*Event) error) error {
	return c.gate(ctx, who, action, name, func() (target, error) { return target{account: name}, nil },
		func(_ Account, _ target, e *Event) error { return fn(e) })
}

// doSite is do on a site. Where the account may not see it, it is not found.
func (c *Cloud) doSite(ctx context.Context, who Who, action Action, name string, fn func(Account, Site) error) error {
	return c.doSiteAbout(ctx, who, action, name, "", func(a Account, s Site, _ *Event) error { return fn(a, s) })
}

// doSiteAbout is doSite where an account is concerned, or the event has more to tell.
func (c *Cloud) doSiteAbout(ctx context.Context, who Who, action Action, name, account string, fn func(Account, Site, *Event) error) error {
	find := func() (target, error) {
		site, err := c.find(ctx, name)
		return target{site: &site, account: account}, err
	}
	return c.gate(ctx, who, action, c.FullName(name), find, func(a Account, t target, e *Event) error { return fn(a, *t.site, e) })
}

func (c *Cloud) gate(ctx context.Context, who Who, action Action, on string,
	find func() (target, error), fn func(Account, target, *Event) error) (err error) {
	event := newEvent(who, action, on)
	defer func() {
		if err != nil {
			err = c.explain(err, action, on)
		}
		c.record(event, err)
	}()
	acting, err := c.acting(ctx, who)
	if err != nil {
		return err
	}
	t, err := find()
	if err != nil {
		return err
	}
	if err := may(acting, action, t); err != nil {
		switch {
		case KindOf(err) != NotFound:
			return err
		case t.absent != nil:
			return t.absent
		}
		return c.noSite(on)
	}
	return fn(acting, t, &event)
}

// acting looks the account up again, and that the key which signed is still its own: what was taken away
// is gone at once, also for a session that is open.
func (c *Cloud) acting(ctx context.Context, who Who) (a Account, err error) {
	if who.Account == Operator && who.Key == c.OperatorKey {
		return c.operator(), nil
	}
	if who.By != "" {
		return c.lent(ctx, who)
	}
	if who.Certificate != (UserCert{}) {
		return c.AuthenticateCertificate(ctx, who.Account, who.Certificate)
	}
	err = c.Store.View(ctx, func(tx Tx) error {
		key, err := tx.Key(who.Key)
		if err != nil || key.Account != who.Account {
			return Errorf(Denied, "the key of this session was removed").WithHint("log in again with another key")
		}
		if a, err = tx.Account(who.Account); err == nil {
			err = c.standing(a)
		}
		return err
	})
	return a, err
}

func disabled(a Account) error {
	return Errorf(Denied, "account %q is disabled", a.Name).WithHint("ask your admin")
}

// explain turns err into what may be shown and logs the cause under its ref.
func (c *Cloud) explain(err error, action Action, on string) error {
	e := Explain(err, func() string { return c.token(3) })
	switch e.Kind {
	case Internal:
		c.Log.Error("verb failed", "ref", e.Ref, "action", action, "on", on, "err", err)
	case Unavailable:
		c.Log.Warn("verb unavailable", "action", action, "on", on, "err", e.Message, "cause", e.Cause)
	}
	return e
}

// token returns n random bytes in hexadecimal.
func (c *Cloud) token(n int) string {
	b := make([]byte, n)
	if _, err := io.ReadFull(c.Random, b); err != nil {
		panic(fmt.Sprintf("no randomness: %v", err)) // crypto/rand never fails
	}
	return hex.EncodeToString(b)
}
