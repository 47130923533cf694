package gateway

import (
	"cmp"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
)

// shown is the first key that a connection came with. It proves nothing.
type shown struct{ user, fingerprint string }

func (l *login) remember(conn ssh.ConnMetadata, key ssh.PublicKey) {
	if l.shown.fingerprint == "" {
		l.shown = shown{conn.User(), ssh.FingerprintSHA256(key)}
	}
}

// missed is the end of a connection that did not log in: it earns its address a penalty, and one that showed keys is told
// to the audit. Who did not come back from the school in time is no worse than others.
func (g *Gateway) missed(raw net.Conn, l *login) {
	result, penalty := "silent", penaltySilent
	switch {
	case l.paced != nil: // its address may be a classroom's
		result, penalty = "paced", 0
	case l.deadline.over.Load() && !l.visiting && !l.visited:
		result, penalty = "late", penaltyLate
	case l.shown.fingerprint != "":
		result, penalty = "failed", penaltyFailed
	}
	g.meter.Login(result)
	if penalty > 0 {
		g.sources.punish(raw.RemoteAddr(), penalty)
	}
	if l.shown.fingerprint != "" && g.heard.take(g.now()) {
		who := cloud.Who{Account: l.pacedAs, Key: l.shown.fingerprint, Address: raw.RemoteAddr().String()}
		why := cloud.Errorf(cloud.Denied, "no key that it showed lets it in")
		g.cloud.NotLoggedIn(who, l.shown.user, cmp.Or(l.paced, why))
	}
}

// turnAway closes the connection of an address that sits out a penalty. RFC 4253 section 4.2 allows lines before the
// version; some clients show them.
func (g *Gateway) turnAway(raw net.Conn, wait time.Duration) {
	g.meter.Login("refused")
	g.log.Debug("refused", "address", raw.RemoteAddr(), "for", wait)
	_ = raw.SetWriteDeadline(time.Now().Add(time.Second)) // what was just accepted has room for a line
	_, _ = fmt.Fprintf(raw, "nuage: too many failed logins from your address, try again in %s\r\n", wait.Round(time.Second))
	_ = raw.Close()
}

// allowance is what refusals may write to the audit: somebody who only knocks must not push out what people did. The
// zero value is ready.
type allowance struct {
	mu   sync.Mutex
	used time.Duration // decays with time
	last time.Time
}

const (
	refusalEvery = 10 * time.Second
	refusalBurst = 100
)

// take reports whether one more may be written.
func (a *allowance) take(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used = max(0, a.used-max(0, now.Sub(a.last)))
	a.last = now
	if a.used >= refusalBurst*refusalEvery {
		return false
	}
	a.used += refusalEvery
	return true
}
