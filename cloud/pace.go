package cloud

import (
	"maps"
	"sync"
	"time"
)

// Looks at DNS that an account has made at once: each costs other people's servers some questions.
const (
	checksMost = 10
	checksTime = time.Minute
	paceMost   = 4096 // accounts remembered
)

// pace bounds how often each account does something. The zero value is ready.
type pace struct {
	mu   sync.Mutex
	done map[string][]time.Time
}

// take notes that an account does it, unless it has done so as often as it may within a while: then it says how long to wait.
func (p *pace) take(account string, most int, within time.Duration, now time.Time) (wait time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	past := p.done[account]
	for len(past) > 0 && now.Sub(past[0]) >= within {
		past = past[1:]
	}
	if len(past) >= most {
		return within - now.Sub(past[0]), false
	}
	if len(p.done) >= paceMost {
		maps.DeleteFunc(p.done, func(_ string, d []time.Time) bool { return now.Sub(d[len(d)-1]) >= within })
	}
	if p.done == nil || len(p.done) >= paceMost {
		p.done = map[string][]time.Time{}
	}
	p.done[account] = append(past[:len(past):len(past)], now)
	return 0, true
}

// mayLook refuses an account that has had DNS looked at too often. The operator, who may be a program, is not counted.
func (c *Cloud) mayLook(who Who) error {
	if who.Account == Operator {
		return nil
	}
	wait, ok := c.looks.take(who.Account, checksMost, checksTime, c.Now())
	if ok {
		return nil
	}
	return Errorf(Quota, "%d of %d domain checks in %s", checksMost, checksMost, FormatIdle(checksTime)).
		WithHint("try again in %s; DNS is looked at every %s anyway", max(wait.Round(time.Second), time.Second), FormatIdle(domainEvery))
}
