package cloud

import (
	"context"
	"net/netip"
)

// address gives the site a fixed address in its group's network, the next one after the last given.
func (c *Cloud) address(tx Tx, group string, sites []Site, s *Site) error {
	g, ok := c.groups[group]
	if !ok {
		return Errorf(Unavailable, "group %q is not in the config any more", group).
			WithHint("for the admin: set it back, or give its accounts another: %s", c.Door.SSH("account set NAME group=GROUP"))
	}
	used := map[netip.Addr]bool{}
	for _, other := range sites {
		used[other.Address] = true
	}
	a, ok, err := g.address(func() (uint64, error) { return tx.Next("address:" + group) }, used)
	if err != nil {
		return err
	}
	if !ok {
		return Errorf(Quota, "the network %s of group %q is full", g.Network, group).WithHint("ask your admin for a larger network")
	}
	s.Group, s.Address = group, a
	return nil
}

// housed gives a site that shall run another address if its own is none of its group's any more: the config has another
// network now, or that is cut in another way.
func (c *Cloud) housed(ctx context.Context, s Site) (Site, error) {
	g, ok := c.groups[s.Group]
	if !ok || g.Gives(s.Address) {
		return s, nil
	}
	old := s.Address
	err := c.Store.Update(ctx, func(tx Tx) error {
		sites, err := tx.Sites()
		if err != nil {
			return err
		}
		if err := c.address(tx, s.Group, sites, &s); err != nil {
			return err
		}
		return tx.PutSite(s)
	})
	if err != nil {
		return s, err
	}
	c.repaired("moved site %q from %s to %s, because group %q has another network now", s.Name, old, s.Address, s.Group)
	return s, c.Publish(ctx) // no route leads to the old one any more when somebody else gets it
}
