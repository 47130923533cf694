package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"plil.net/nuage/cloud"
)

// Labels on all that we make. Names are for people: ours is what carries our data directory.
const (
	labelData  = "nuage.data"
	labelGroup = "nuage.group"
)

// networks are those of the engine, one for each subnet of a group that has sites. Sites in one do not reach each
// other; the gateway's host reaches all of them at its gateway.
type networks struct {
	mu   sync.Mutex     // held while one is looked up, made or removed
	held map[string]int // by id: sites on their way up, which their network has to wait for
	old  []string       // what stands of another config, for people
}

// place is where a site's container is put.
type place struct {
	id      string
	name    string
	gateway netip.Addr
}

// networkName is unique on a host where several gateways run.
func (d *Docker) networkName(group string, s cloud.Subnet) string {
	sum := sha256.Sum256([]byte(d.Data))
	return fmt.Sprintf("nuage-%s-%s-%s", group, hex.EncodeToString(sum[:4]), s.Addr())
}

// network returns the network that a site's address is in, made if it is not there, and keeps it until release is called.
func (d *Docker) network(ctx context.Context, s cloud.Spec) (p place, release func(), err error) {
	if s.Bare {
		return place{name: "none"}, func() {}, nil // as the engine calls it
	}
	if !s.Group.Gives(s.Address) {
		return p, nil, cloud.Errorf(cloud.Unavailable, "address %s of site %q is not one that group %q gives", s.Address, s.Name, s.Group.Name).
			WithHint("set network back under [groups.%s]", s.Group.Name)
	}
	d.networks.mu.Lock()
	defer d.networks.mu.Unlock()
	d.firstFence(ctx)
	found, err := d.ourNetworks(ctx, labelGroup+"="+s.Group.Name)
	if err != nil {
		return p, nil, err
	}
	if p, err = d.findNetwork(ctx, s, found); err == nil && p.id == "" {
		p, err = d.makeNetwork(ctx, s.Group, s.Group.Subnet(s.Address))
	}
	if err != nil {
		return p, nil, err
	}
	return p, d.hold(p.id), nil
}

func (d *Docker) hold(id string) (release func()) {
	if d.networks.held == nil {
		d.networks.held = map[string]int{}
	}
	d.networks.held[id]++
	return sync.OnceFunc(func() {
		d.networks.mu.Lock()
		defer d.networks.mu.Unlock()
		if d.networks.held[id]--; d.networks.held[id] == 0 {
			delete(d.networks.held, id)
		}
	})
}

func (d *Docker) ourNetworks(ctx context.Context, labels ...string) ([]network.Summary, error) {
	filters := client.Filters{}.Add("label", append(labels, labelData+"="+d.Data)...)
	found, err := d.api.NetworkList(ctx, client.NetworkListOptions{Filters: filters})
	return found.Items, d.explain(err)
}

// findNetwork looks for the network of a site among those of its group. One that an earlier config made goes if no site
// runs in it. If sites do, those whose address is in it stay there, and come into their own at the next start after.
func (d *Docker) findNetwork(ctx context.Context, s cloud.Spec, found []network.Summary) (p place, err error) {
	subnet := s.Group.Subnet(s.Address)
	for _, n := range found {
		have, gateway := subnetOf(n)
		switch {
		case have == subnet.Prefix && made(s.Group, n):
			return place{n.ID, n.Name, gateway}, nil
		case isSubnet(s.Group, have) && made(s.Group, n), !have.Overlaps(subnet.Prefix), d.removeNetwork(ctx, n.ID):
		case made(s.Group, n) && have.Contains(s.Address) && gateway != s.Address && !rangeOf(n).Contains(s.Address):
			p = place{n.ID, n.Name, gateway}
		case d.leaves(ctx, s.ID, n.ID):
		default:
			return p, cloud.Errorf(cloud.Unavailable, "the network %s of group %q is still its old one, because sites run in it", have, s.Group.Name).
				WithHint("for the admin: systemctl restart docker, which starts them in their new one")
		}
	}
	return p, nil
}

// leaves stops a site, which cannot stay in a network, and reports whether that was its last.
func (d *Docker) leaves(ctx context.Context, site, id string) bool {
	return d.Down(ctx, site) == nil && d.removeNetwork(ctx, id)
}

// isSubnet reports whether the group, as it is now, has such a subnet.
func isSubnet(g cloud.Group, p netip.Prefix) bool {
	return p.IsValid() && g.Subnet(p.Addr()).Prefix == p
}

func subnetOf(n network.Summary) (p netip.Prefix, gateway netip.Addr) {
	if len(n.IPAM.Config) != 1 {
		return p, gateway
	}
	return n.IPAM.Config[0].Subnet, n.IPAM.Config[0].Gateway
}

func rangeOf(n network.Summary) netip.Prefix { return n.IPAM.Config[0].IPRange }

// removeNetwork reports whether a network could be removed: the engine keeps one in which containers run.
func (d *Docker) removeNetwork(ctx context.Context, id string) bool {
	_, err := d.api.NetworkRemove(ctx, id, client.NetworkRemoveOptions{})
	return err == nil
}

func (d *Docker) makeNetwork(ctx context.Context, g cloud.Group, s cloud.Subnet) (place, error) {
	driver, options := driver(g)
	name := d.networkName(g.Name, s)
	made, err := d.api.NetworkCreate(ctx, name, client.NetworkCreateOptions{
		Driver: driver,
		IPAM: &network.IPAM{Driver: "default", Config: []network.IPAMConfig{{
			Subnet: s.Prefix, IPRange: s.Dynamic(), Gateway: s.Gateway(),
		}}},
		Options: options,
		Labels:  map[string]string{labelData: d.Data, labelGroup: g.Name},
	})
	if err != nil && strings.Contains(err.Error(), "overlaps") {
		return place{}, cloud.Errorf(cloud.Unavailable, "network %s of group %q overlaps another network of this host", s, g.Name).
			WithHint("set another network under [groups.%s]", g.Name).Because(err)
	}
	if err = d.explain(err); err != nil && g.Parent != "" {
		return place{}, noParent(g, err)
	}
	if err != nil {
		return place{}, err
	}
	d.renew(ctx)
	return place{made.ID, name, s.Gateway()}, nil
}

// Tidy implements cloud.Engine: it removes the networks that no container of ours is made for, and those of another config
// in which none runs, and sets the rules of nftables anew.
func (d *Docker) Tidy(ctx context.Context, list []cloud.Container) {
	d.removeUnused(ctx, list)
	d.renew(ctx)
}

func (d *Docker) removeUnused(ctx context.Context, containers []cloud.Container) {
	d.networks.mu.Lock()
	defer d.networks.mu.Unlock()
	found, err := d.ourNetworks(ctx)
	if err != nil {
		return // the engine is away, which others tell
	}
	d.networks.old = nil
	for _, n := range found {
		have, _ := subnetOf(n)
		old := d.isOld(n)
		used := slices.ContainsFunc(containers, func(c cloud.Container) bool { return have.Contains(c.Address) })
		if d.networks.held[n.ID] > 0 || used && !old || d.removeNetwork(ctx, n.ID) || !old {
			continue
		}
		d.networks.old = append(d.networks.old, fmt.Sprintf("sites of group %q run in its old network %s until none of them runs, or until: systemctl restart docker",
			n.Labels[labelGroup], have))
	}
}

// isOld reports whether a network is what another config made for a group that there still is.
func (d *Docker) isOld(n network.Summary) bool {
	have, _ := subnetOf(n)
	g, ok := d.group(n.Labels[labelGroup])
	return ok && !(isSubnet(g, have) && made(g, n))
}

// group is one of the config.
func (d *Docker) group(name string) (cloud.Group, bool) {
	i := slices.IndexFunc(d.Groups, func(g cloud.Group) bool { return g.Name == name })
	if i < 0 {
		return cloud.Group{}, false
	}
	return d.Groups[i], true
}
