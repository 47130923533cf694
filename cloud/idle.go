package cloud

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// relieveAtOnce is how many sites go to sleep in one round when memory is short: the next round sees what it helped.
const relieveAtOnce = 4

// setIdle lets a site sleep sooner than its group says, or later as far as the group allows.
func (c *Cloud) setIdle(tx Tx, s *Site, value string) error {
	if value == "" {
		s.Idle = nil
		return nil
	}
	d, err := ParseIdle(value)
	if err != nil {
		return err
	}
	owner, err := c.account(tx, s.Owner)
	if err != nil {
		return err
	}
	if longest := c.longestIdle(*s, c.Limits(owner)); d != within(d, longest) {
		return Errorf(Quota, "idle %q is longer than your group allows, %s", value, FormatIdle(longest)).
			WithHint("write it like idle=%s, or ask your admin", FormatIdle(longest))
	}
	s.Idle = &d
	return nil
}

// IdleOf is after how long without use a site sleeps; 0: never.
func (c *Cloud) IdleOf(s Site) time.Duration { return c.idleWithin(s, c.LimitsOf(s)) }

// idleWithin is IdleOf under the limits of the site's owner.
func (c *Cloud) idleWithin(s Site, limits Limits) time.Duration {
	if s.Idle == nil {
		return limits.Idle
	}
	return within(*s.Idle, c.longestIdle(s, limits)) // the group may have become stricter since
}

func (c *Cloud) longestIdle(s Site, limits Limits) time.Duration {
	usual, most := limits.Idle, c.groups[s.Group].MaxIdle
	if usual == 0 || most == 0 {
		return 0
	}
	return max(usual, most)
}

// within cuts a time, of which 0 is the longest, to the longest.
func within(d, longest time.Duration) time.Duration {
	if longest > 0 && (d == 0 || d > longest) {
		return longest
	}
	return d
}

// relieve puts the sites to sleep that nobody has used for the longest time, while the host is short of memory. Who says
// that it shall never sleep goes last.
func (c *Cloud) relieve(ctx context.Context) {
	if c.Pressed == nil || !c.Pressed() {
		return
	}
	type candidate struct {
		Site
		unused time.Duration
		idle   time.Duration
	}
	var idle []candidate
	for _, s := range *c.table.Load() {
		if s.Type != PHP || s.State != Running {
			continue
		}
		if unused, held := c.holds.unused(s.ID, c.Now()); !held && unused >= time.Second {
			idle = append(idle, candidate{*s, unused, c.IdleOf(*s)})
		}
	}
	slices.SortFunc(idle, func(a, b candidate) int {
		if (a.idle == 0) != (b.idle == 0) {
			return cmp.Compare(b.idle, a.idle)
		}
		return cmp.Compare(b.unused, a.unused)
	})
	for _, s := range idle[:min(len(idle), relieveAtOnce)] {
		if err := c.sleep(ctx, s.ID, func(Site) bool { _, held := c.holds.unused(s.ID, c.Now()); return !held }); err != nil {
			c.Log.Warn("site not put to sleep", "site", s.Name, "err", err)
			continue
		}
		c.repaired("memory is short: site %q, unused for %s, sleeps", s.Name, s.unused.Round(time.Second))
	}
}
