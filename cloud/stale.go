package cloud

import (
	"context"
	"time"
)

// EndStale hangs up on accounts whose keys have expired: no verb is left to them, but programs that run would go on.
func (c *Cloud) EndStale(ctx context.Context) error {
	var ended []string
	err := c.Store.View(ctx, func(tx Tx) error {
		all, err := tx.Accounts()
		for _, a := range all {
			if end := c.expiry(a); !end.IsZero() && !c.Now().Before(end) {
				ended = append(ended, a.Name)
			}
		}
		return err
	})
	for _, name := range ended {
		c.Revoked(name, "")
	}
	return err
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
