package cloud

import (
	"context"
	"io"
)

// Archive writes the homes of sites to w as one stream. Where there is a snapshot of the store it goes first, and sites
// is asked after it, so that no site of the snapshot lacks its files. What could not be read of a home is skipped and
// told: one site must not be able to keep the others from being saved.
type Archive func(ctx context.Context, w io.Writer, snapshot func(io.Writer) error, homes Homes, sites func() ([]Site, error)) (skipped []string, err error)

// Backup writes a consistent snapshot of the store to w.
func (c *Cloud) Backup(ctx context.Context, who Who, w io.Writer) error {
	return c.do(ctx, who, Backup, "", func(Account) error {
		return c.during(ctx, who, Backup, Site{}, func(ctx context.Context) error { return c.Store.Backup(ctx, w) })
	})
}

// BackupAll writes the store and the homes of all sites to w. The records are of one moment, the files of the time it
// takes. It returns what could not be read.
func (c *Cloud) BackupAll(ctx context.Context, who Who, w io.Writer) (skipped []string, err error) {
	err = c.do(ctx, who, Backup, "", func(Account) error {
		return c.during(ctx, who, Backup, Site{}, func(ctx context.Context) error {
			snapshot := func(to io.Writer) error { return c.Store.Backup(ctx, to) }
			skipped, err = c.archive(ctx, w, snapshot, func() ([]Site, error) { return c.sites(ctx) })
			return err
		})
	})
	return skipped, err
}

// BackupSite writes the home of one site to w, for who may use it. It returns what could not be read.
func (c *Cloud) BackupSite(ctx context.Context, who Who, name string, w io.Writer) (skipped []string, err error) {
	err = c.doSite(ctx, who, SiteBackup, name, func(_ Account, s Site) error {
		return c.during(ctx, who, SiteBackup, s, func(ctx context.Context) error {
			skipped, err = c.archive(ctx, w, nil, func() ([]Site, error) { return []Site{s}, nil })
			return err
		})
	})
	return skipped, err
}

func (c *Cloud) archive(ctx context.Context, w io.Writer, snapshot func(io.Writer) error, sites func() ([]Site, error)) ([]string, error) {
	if c.Archive == nil {
		return nil, Errorf(Unavailable, "this gateway makes no backups of files")
	}
	return c.Archive(ctx, w, snapshot, c.Homes, sites)
}
