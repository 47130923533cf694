package provision

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"golang.org/x/sys/unix"

	"plil.net/nuage/cloud"
)

// The sites of a group with a parent are machines of a real VLAN: each has an address of its own there, by macvlan in
// private mode, in which the kernel passes nothing from one to another. What they say never goes through this host's
// rules, and the host itself does not reach them there: their rules stand in the network namespace of each, which it has
// no right to change, and the gateway enters it to speak to the site's web server on loopback.

// loopback is where the web server of such a site is reached.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// checkParents refuses what cannot work, or would leave sites without rules.
func (o DockerOptions) checkParents(uid int) error {
	for _, g := range o.Groups {
		switch {
		case g.Parent == "":
		case uid != 0:
			return cloud.Errorf(cloud.Invalid, "groups.%s.parent = %q needs a gateway that runs as root", g.Name, g.Parent).
				WithHint("run nuage serve as root, or leave parent out")
		case !strings.HasPrefix(o.Host, "unix:"):
			return cloud.Errorf(cloud.Invalid, "groups.%s.parent = %q needs the container engine on the gateway's own host", g.Name, g.Parent).
				WithHint("leave parent out, or engine.host")
		}
	}
	return nil
}

// driver is how the engine makes the network of a group.
func driver(g cloud.Group) (name string, options map[string]string) {
	if g.Parent != "" {
		return "macvlan", map[string]string{"parent": g.Parent, "macvlan_mode": "private"}
	}
	return "bridge", map[string]string{"com.docker.network.bridge.enable_icc": "false"}
}

// made reports whether a network was made as the group has it now.
func made(g cloud.Group, n network.Summary) bool {
	name, options := driver(g)
	return n.Driver == name && n.Options["parent"] == options["parent"]
}

// proxyAddress is where the proxy's connections to a site come from.
func proxyAddress(g cloud.Group, at place) netip.Addr {
	if g.Parent != "" {
		return loopback
	}
	return at.gateway
}

// enclose sets the rules of a site that runs in a VLAN. Without them it must not go on.
func (d *Docker) enclose(ctx context.Context, g cloud.Group, site string) error {
	if g.Parent == "" {
		return nil
	}
	hosts, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	k, err := d.ours(ctx, site)
	if err == nil && (k == nil || !k.State.Running) {
		return nil // it has ended, which others tell
	}
	if err == nil {
		err = inNetwork(k, func() error { return runNFT(ctx, d.rulesInside(g, hosts)) })
	}
	if err == nil || errors.Is(err, errLeft) { // what was started meanwhile is another run, and told by itself: not to be stopped
		return nil
	}
	return cloud.Errorf(cloud.Unavailable, "no rules could be set for a site on %s", g.Parent).
		WithHint("for the admin: groups with a parent need nftables").Because(fmt.Errorf("%w; stopped: %v", err, d.Down(ctx, site)))
}

// inNetwork runs fn in the network of a container that runs, with the rights and the files of the gateway.
func inNetwork(k *container.InspectResponse, fn func() error) error {
	ns, err := openNamespaces(k.State.Pid, k.ID)
	if err != nil {
		return err
	}
	defer ns.close()
	return onThread(func() error {
		if err := unix.Setns(int(ns.network.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return fn()
	})
}

// rulesInside is the table in a site's own network. Nobody reaches a port of the site from outside; what it begins may go
// to the gateway's web ports and out through the VLAN's router, but to no other address of this host or of our networks.
func (d *Docker) rulesInside(g cloud.Group, hosts []net.Addr) string {
	var b strings.Builder
	b.WriteString("table inet nuage\ndelete table inet nuage\ntable inet nuage {\n")
	b.WriteString("\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t\tiifname \"lo\" accept\n\t\tct state established,related accept\n\t}\n")
	b.WriteString("\tchain output {\n\t\ttype filter hook output priority filter; policy accept;\n\t\toifname \"lo\" accept\n\t\tct state established,related accept\n")
	say := func(format string, args ...any) { fmt.Fprintf(&b, "\t\t"+format+"\n", args...) }
	for _, p := range d.proxiesOf(g.Name) {
		say("ip daddr %s tcp dport %d accept", p.Addr(), p.Port())
	}
	if !g.NoInternet {
		say("ip daddr %s accept", g.Subnet(g.Network.Masked().Addr()).Gateway())
	}
	closed := []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16"), g.Network}
	for _, other := range d.Groups {
		closed = append(closed, other.Network)
	}
	for _, at := range hosts {
		p, err := netip.ParsePrefix(at.String())
		if err != nil || !p.Addr().Is4() {
			continue
		}
		for _, port := range d.WebPorts {
			say("ip daddr %s tcp dport %d accept", p.Addr(), port)
		}
		closed = append(closed, netip.PrefixFrom(p.Addr(), 32))
	}
	for _, p := range closed {
		say("ip daddr %s reject", p)
	}
	if g.NoInternet {
		say("reject")
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

// started sees to a container that somebody else started: its network is a new one.
func (d *Docker) started(ctx context.Context, group, site string) {
	g, ok := d.group(group)
	if !ok {
		return
	}
	if err := d.enclose(ctx, g, site); err != nil {
		d.Log.Warn("site stopped, because it has no rules", "container", containerName(site), "err", err)
	}
}

// noParent explains an engine that could not make a network on its parent.
func noParent(g cloud.Group, err error) error {
	return cloud.Errorf(cloud.Unavailable, "there can be no network on %s, the parent of group %q", g.Parent, g.Name).
		WithHint("for the admin: ip link show %s; no other network of the engine may be on it", g.Parent).Because(err)
}
