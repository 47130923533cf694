package cloud

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Use is what a site uses, and how much it is used.
type Use struct {
	Disk     Space         `json:"disk"`
	Memory   int64         `json:"memory"` // bytes of its container now, 0 if none runs
	CPU      time.Duration `json:"cpu"`    // of its container since it started
	Requests int64         `json:"requests"`
	Last     time.Time     `json:"last"` // visit; zero if the log knows none
}

// useSince is how far back requests are counted.
const useSince = 24 * time.Hour

// meter is an engine that can tell what a running container takes.
type meter interface {
	Usage(ctx context.Context, id string) (memory int64, cpu time.Duration, err error)
}

// SiteUse tells what a site uses. What cannot be found out now is zero.
func (c *Cloud) SiteUse(ctx context.Context, who Who, name string) (u Use, err error) {
	err = c.doSite(ctx, who, SiteInfo, name, func(_ Account, s Site) error {
		if u.Disk, err = c.space(ctx, s); err != nil {
			return err
		}
		if m, ok := c.Engine.(meter); ok && c.contains(s) && s.State == Running {
			u.Memory, u.CPU, _ = m.Usage(ctx, s.ID)
		}
		u.Last = c.lastVisit(ctx, s.ID)
		_ = c.Hits.Read(ctx, s.ID, HitFilter{Since: c.Now().Add(-useSince), Tail: -1}, func(h Hit) error {
			u.Requests += max(1, h.Dropped)
			return nil
		})
		return nil
	})
	return u, err
}

var errSeen = errors.New("seen")

func (c *Cloud) lastVisit(ctx context.Context, id string) (last time.Time) {
	_ = c.Hits.Read(ctx, id, HitFilter{Tail: 1}, func(h Hit) error {
		last = h.Time
		return errSeen
	})
	return last
}

// SitesByUse lists everybody's sites, for admins, those visited last first, with when that was.
func (c *Cloud) SitesByUse(ctx context.Context, who Who) (sites []Site, last map[string]time.Time, err error) {
	last = map[string]time.Time{}
	err = c.do(ctx, who, SiteAll, "", func(Account) error {
		if sites, err = c.sites(ctx); err != nil {
			return err
		}
		for _, s := range sites {
			last[s.ID] = c.lastVisit(ctx, s.ID)
		}
		slices.SortStableFunc(sites, func(a, b Site) int { return last[b.ID].Compare(last[a.ID]) })
		return nil
	})
	return sites, last, err
}
