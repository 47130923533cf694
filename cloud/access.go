package cloud

import (
	"context"
)

// Access is the home of a site as one account uses it for a while.
type Access struct {
	Home
	Site  Site
	who   Who
	cloud *Cloud

	allowed allowance
}

// Files opens the home of a site. The caller closes it.
func (c *Cloud) Files(ctx context.Context, who Who, name string) (a *Access, site Site, err error) {
	err = c.doSite(ctx, who, SiteFiles, name, func(_ Account, s Site) error {
		if err := usable(s); err != nil {
			return err
		}
		home, err := c.Homes.Open(s)
		if err == nil {
			a, site = &Access{Home: home, Site: s, who: who, cloud: c}, s
		}
		return err
	})
	return a, site, err
}

func usable(s Site) error {
	if s.Settled() {
		return nil
	}
	return Errorf(Conflict, "%q is still %s", s.Name, s.State).WithHint("try again in a moment")
}

// Check asks again whether the account may use the home, and tells why not: the site was deleted or is shared
// no more, the key was removed. It is no verb of its own, so the audit hears nothing.
func (a *Access) Check(ctx context.Context) error {
	acting, err := a.cloud.acting(ctx, a.who.begun())
	if err != nil {
		return err
	}
	site, err := a.cloud.byID(ctx, a.Site.ID)
	switch {
	case KindOf(err) == NotFound:
		return a.cloud.noSite(a.Site.Name)
	case err != nil:
		return err
	}
	if err := may(acting, SiteFiles, target{site: &site}); err != nil {
		if KindOf(err) == NotFound {
			return a.cloud.noSite(a.Site.Name)
		}
		return err
	}
	return usable(site)
}

// Space is the room that a home has, in bytes.
type Space struct {
	Limit int64 // the owner's disk limit, or the whole file system if that is smaller
	Used  int64 // on disk; may be some seconds old
	Free  int64 // that can still be written: what the limit leaves, if the file system has it
}

// Space tells how much room the home has.
func (a *Access) Space(ctx context.Context) (Space, error) {
	return spaceOf(ctx, a.Home, a.cloud.LimitsOf(a.Site).Disk)
}

// Transfer is what became of a file that was open, or was removed.
type Transfer struct {
	Action Action // FilePut, FileGet or FileRemove
	Path   string // as the container sees it
	Bytes  int64  // that came or went
	Err    error  // nil: all went well
}

// Done writes a transfer to the audit. It waits for no disk.
func (a *Access) Done(t Transfer) {
	e := newEvent(a.who, t.Action, a.Site.Name)
	e.Path, e.Bytes = short(t.Path), t.Bytes
	a.cloud.record(e, t.Err)
}
