package cloud

import (
	"context"
	"errors"
)

// DeleteSite takes a site off the web and removes its container, its files and its name. Once it is recorded as
// being deleted there is no way back: a crash or an engine that is down only delays the rest.
func (c *Cloud) DeleteSite(ctx context.Context, who Who, name string) error {
	return c.changeSite(ctx, who, SiteDelete, name, "", func(_ Account, s Site) error {
		if err := c.engineReady(ctx, s); err != nil {
			return err
		}
		defer c.reviewSite(ctx, s.ID)
		err := c.demolish(context.WithoutCancel(ctx), s)
		if err != nil { // it is no site any more: what is left of it goes
			c.tryAgain(s.ID)
		}
		return err
	})
}

// demolish removes all of a site, whatever of it exists; the record goes last. Idempotent.
func (c *Cloud) demolish(ctx context.Context, s Site) error {
	s.State, s.Reason = Deleting, ""
	if err := c.put(ctx, s); err != nil {
		return err
	}
	c.Fault("delete.recorded")
	if err := c.Publish(ctx); err != nil {
		return err
	}
	c.Fault("delete.unpublished")
	if err := c.remove(ctx, s.ID); err != nil {
		return err
	}
	c.Fault("delete.down")
	if err := c.Homes.Remove(ctx, s); err != nil {
		return err
	}
	c.Fault("delete.home")
	c.Hits.Forget(s.ID)
	c.holds.forget(s.ID)
	c.deaths.forget(s.ID)
	c.tries.forget(s.ID)
	err := c.Store.Update(ctx, func(tx Tx) error {
		domains, err := tx.Domains()
		for _, d := range domains {
			if d.Site == s.ID {
				err = errors.Join(err, tx.DeleteDomain(d.Host, d.Site))
			}
		}
		return errors.Join(err, tx.DeleteSite(s.ID))
	})
	return errors.Join(err, c.Publish(ctx))
}
