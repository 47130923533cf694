package cloud

import (
	"context"
	"errors"
	"time"
)

// EndStale hangs up on accounts whose keys have expired: no verb is left to them, but programs that run would go on.
func (c *Cloud) EndStale(ctx context.Context) error {
	var ended, ahead []string
	err := c.Store.View(ctx, func(tx Tx) error {
		all, err := tx.Accounts()
		for _, a := range all {
			if c.expired(a) {
				ended = append(ended, a.Name)
			}
			if a.School != nil && a.School.At.After(c.Now()) && c.Clock.Steady() {
				ahead = append(ahead, a.Name)
			}
		}
		return err
	})
	for _, name := range ended {
		c.Revoked(name, "")
	}
	for _, name := range ahead {
		err = errors.Join(err, c.redate(ctx, name))
	}
	return err
}

// redate has a login at the school that took place while the clock was ahead count as one of now: the keys would else let in
// for as much longer.
func (c *Cloud) redate(ctx context.Context, name string) error {
	return c.Store.Update(ctx, func(tx Tx) error {
		a, err := tx.Account(name)
		if err != nil || a.School == nil || !a.School.At.After(c.Now()) {
			return nothing(err)
		}
		school := *a.School
		school.At = c.Now().UTC().Truncate(time.Second)
		a.School = &school
		return tx.PutAccount(a)
	})
}

// retire does so for as long as ctx lasts.
func (c *Cloud) retire(ctx context.Context) {
	for c.Rules.MaxAge > 0 && ctx.Err() == nil {
		if err := c.EndStale(ctx); err != nil && ctx.Err() == nil {
			c.Log.Warn("accounts not looked through", "err", err)
		}
		wait(ctx, min(time.Minute, c.Rules.MaxAge/4))
	}
}
