package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
)

// pace slows down an account that logs in again and again. Only who has signed counts, so that nobody can use up the logins
// of somebody else. An account may log in limit times at once; after that each login waits until one more is due, and only
// where too many wait already is one refused.
type pace struct {
	now   func() time.Time
	limit int // logins a minute

	mu   sync.Mutex
	used map[string]time.Time // by account: when what it has used is due again
}

const (
	paceOf   = time.Minute
	paceMost = 10 * time.Second // that a login waits
)

// take counts a login, and says how long it has to wait; not ok: more than paceMost, and it is not counted.
func (p *pace) take(account string) (wait time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	due := latest(p.used[account], now).Add(paceOf / time.Duration(p.limit))
	if wait = due.Sub(now) - paceOf; wait > paceMost {
		return wait, false
	}
	if p.used == nil {
		p.used = map[string]time.Time{}
	}
	p.used[account] = due // no more of them than there are accounts
	return max(0, wait), true
}

// inTurn lets somebody who has signed go on, now or in a while. Addresses that are trusted and the operator are not slowed.
func (l *login) inTurn(ctx context.Context, conn ssh.ConnMetadata, account string) error {
	from, ok := sourceOf(conn.RemoteAddr())
	if account == cloud.Operator || ok && l.sources.isTrusted(from) {
		return nil
	}
	wait, ok := l.pace.take(account)
	if ok && wait == 0 {
		return nil
	}
	much := fmt.Sprintf("%q has logged in more than %d times within a minute", account, l.limits.AccountLogins)
	const hint = "do more on one connection: ControlMaster and ControlPersist in ssh_config(5)"
	if !ok {
		l.paced = cloud.Errorf(cloud.Quota, "%s, and others wait already", much).WithHint(hint)
		l.pacedAs = account
		return banner(l.paced)
	}
	l.logins.leave(l.raw) // who waits here stands in no other line
	l.tell(fmt.Sprintf("nuage: %s: this login waits %s\nhint: %s\n", much, max(wait, time.Second).Round(time.Second), hint))
	within(ctx.Done(), wait)
	return ctx.Err()
}
