// Package gateway is the SSH door: it listens, finds out whose key signed, and gives each session channel
// to a command, to a program in a site, or to SFTP. It is an SSH server on the raw channels of
// golang.org/x/crypto/ssh, because what a client may ask for, and how often, is decided here. It holds no
// rights of its own: everything goes through the verbs of cloud.Cloud. It knows no command and no container.
package gateway

import (
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
)

// Options are what a Gateway is made of. Cloud and HostKeys are needed.
type Options struct {
	Cloud    *cloud.Cloud
	HostKeys []ssh.Signer
	Log      *slog.Logger
	Limits   Limits

	Authorities Authorities // cloud.Options has their fingerprints

	NextHostKeys []ssh.Signer // that will be HostKeys one day: clients learn them before

	Meter  Meter            // may be nil
	Now    func() time.Time // may be nil
	Chance func() float64   // from 0 up to 1; may be nil
}

// Meter counts what happens at the door. Its methods may be called concurrently and do not block.
type Meter interface {
	// Login is called for each connection: "ok", or why not: "refused" (an address that sits out a penalty), "failed" (no key
	// of it lets in), "paced" (its account logs in too often), "silent" (left without showing one), "late".
	Login(result string)
	// Session is called with +1 and -1.
	Session(n int)
}

type noMeter struct{}

func (noMeter) Login(string) {}
func (noMeter) Session(int)  {}

// Limits bound what clients may take. A zero field has the default.
type Limits struct {
	Login           time.Duration // from accept until a key has signed; 120 s
	Startups        Startups      // connections that have not logged in yet; DefaultStartups
	Visitors        int           // people at the school's login server; 128
	AddressVisitors int           // of them from one address, which may be a classroom's; 48
	AccountLogins   int           // of one account in a minute; more of them wait; 120
	Connections     int           // of one account; 1,024
	Sessions        int           // session channels of one connection; 10
	AccountSessions int           // session channels of one account: each may hold 2 MiB that it sent and nobody read; 64
	Forwards        int           // ports and sockets in a site that are open through one connection; 64
	AccountForwards int           // through all of an account; 128
	Agents          int           // connections of programs to the agent of one SSH connection; 16
	KeepAlive       time.Duration // of silence, after which the client is asked whether it is there; after three it is not; 15 s
	Grace           time.Duration // for sessions to end once Serve shall stop; 10 s
	Idle            time.Duration // without input or output until a session ends, and without a session until a connection does; 0: never

	Trusted []netip.Prefix // whose connections earn no penalties; nil: those of this host
}

func (l Limits) orDefault() Limits {
	orDefault(&l.Login, 120*time.Second)
	orDefault(&l.Visitors, 128)
	orDefault(&l.AddressVisitors, 48)
	orDefault(&l.Startups, DefaultStartups)
	orDefault(&l.AccountLogins, 120)
	orDefault(&l.Connections, 1024)
	orDefault(&l.Sessions, 10)
	orDefault(&l.AccountSessions, 64)
	orDefault(&l.Forwards, 64)
	orDefault(&l.AccountForwards, 128)
	orDefault(&l.Agents, 16)
	orDefault(&l.KeepAlive, 15*time.Second)
	orDefault(&l.Grace, 10*time.Second)
	if l.Trusted == nil {
		l.Trusted = Local()
	}
	return l
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Gateway is the SSH door. Its methods may be called concurrently.
type Gateway struct {
	cloud  *cloud.Cloud
	log    *slog.Logger
	limits Limits
	config ssh.ServerConfig
	logins waiting

	visitors visitors
	sources  sources
	pace     pace
	heard    allowance // of refusals in the audit
	hosts    hostKeys
	meter    Meter
	now      func() time.Time

	authorities Authorities

	mu      sync.Mutex
	conns   map[string]map[*conn]bool // by account
	running map[string]int            // sessions, by account

	forwarding tally
}

// New makes a Gateway. Serve opens it.
func New(o Options) *Gateway {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	orDefault(&o.Meter, Meter(noMeter{}))
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Chance == nil {
		o.Chance = rand.Float64
	}
	limits := o.Limits.orDefault()
	return &Gateway{
		cloud: o.Cloud, log: o.Log, limits: limits, config: serverConfig(o.HostKeys),
		authorities: o.Authorities,
		visitors:    visitors{limit: limits.Visitors, each: limits.AddressVisitors},
		logins:      waiting{limit: limits.Startups, chance: o.Chance},
		sources:     sources{now: o.Now, trusted: limits.Trusted},
		pace:        pace{now: o.Now, limit: limits.AccountLogins},
		hosts:       hostKeys{used: o.HostKeys, next: o.NextHostKeys}, meter: o.Meter, now: o.Now,
		conns: map[string]map[*conn]bool{}, running: map[string]int{},
	}
}

// Connections counts the open connections of an account.
func (g *Gateway) Connections(account string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns[account])
}

// Forwards counts the open forwards of an account.
func (g *Gateway) Forwards(account string) int { return g.forwarding.count(account) }

// HangUp closes the connections of an account: all with "", else those with one key. These have a moment: see hangUp.
func (g *Gateway) HangUp(account, key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns[account] {
		switch key {
		case "":
			c.close()
		case c.who.Key:
			c.group.Go(c.hangUp)
		}
	}
}

const hangUpAfter = 300 * time.Millisecond

// enter counts a connection in, unless its account has too many.
func (g *Gateway) enter(c *conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	of := g.conns[c.who.Account]
	if len(of) >= g.limits.Connections {
		return false
	}
	if of == nil {
		of = map[*conn]bool{}
		g.conns[c.who.Account] = of
	}
	of[c] = true
	return true
}

// count counts a session of an account in (+1), unless there are too many, or out (-1).
func (g *Gateway) count(account string, n int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n > 0 && g.running[account] >= g.limits.AccountSessions {
		return false
	}
	if g.running[account] += n; g.running[account] == 0 {
		delete(g.running, account)
	}
	return true
}

func (g *Gateway) leave(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns[c.who.Account], c)
	if len(g.conns[c.who.Account]) == 0 {
		delete(g.conns, c.who.Account)
	}
}
