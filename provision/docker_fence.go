package provision

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// fence keeps sites from all that is not the internet, and the addresses of sites from all that is no site, by two tables of
// nftables that are ours alone: the engine's rules and those of the host stay as they are, and whatever they let through,
// ours can still refuse. A table is replaced whole, in one transaction, so it may be renewed at any time. It stays when the
// gateway stops, for the sites do not.
type fence struct {
	mu       sync.Mutex
	begun    bool                        // the rules were set once
	problems []string                    // why they do not stand
	proxies  map[string][]netip.AddrPort // of groups
	ranges   map[netip.Prefix]siteRange  // of all networks that there were since the start: one that is gone may be somebody else's
}

// wall is one network of ours on this host.
type wall struct {
	bridge   string
	internet bool
	proxy    []netip.AddrPort // may be reached all the same
}

// siteRange is what of a network is for sites: its addresses but the host's own and those that the engine hands out.
type siteRange struct{ subnet, dynamic, gateway netip.Prefix }

// renewTime bounds the program that sets the rules.
const renewTime = 10 * time.Second

// renew makes the rules fit the networks that there are.
func (d *Docker) renew(ctx context.Context) {
	d.fence.mu.Lock()
	defer d.fence.mu.Unlock()
	d.fence.proxies = map[string][]netip.AddrPort{}
	if d.fence.ranges == nil {
		d.fence.ranges = map[netip.Prefix]siteRange{}
	}
	for _, g := range d.Groups {
		d.fence.proxies[g.Name] = resolve(ctx, g.HTTPProxy)
	}
	walls, err := d.walls(ctx)
	if err != nil {
		return // the engine is away, which others tell
	}
	d.fence.begun = true
	ranges := slices.SortedFunc(maps.Values(d.fence.ranges), func(a, b siteRange) int { return a.subnet.Compare(b.subnet) })
	before := d.fence.problems
	d.fence.problems = nil
	for _, table := range []struct{ rules, without string }{
		{rules(d.tableName(), walls, ranges, d.WebPorts), "sites can reach the services of this host"},
		{bridgeRules(d.tableName(), ranges), "a container that is of no site can take the address of one"},
	} {
		err := d.setRules(ctx, table.rules)
		if err == nil {
			continue
		}
		problem := fmt.Sprintf("%s: %v", table.without, err)
		d.fence.problems = append(d.fence.problems, problem)
		if !slices.Contains(before, problem) {
			d.Log.Warn(problem, "hint", "run as root, or with CAP_NET_ADMIN, on a host with nftables")
		}
	}
}

// firstFence sets the rules before the first site of this process starts: after a reboot there are none.
func (d *Docker) firstFence(ctx context.Context) {
	d.fence.mu.Lock()
	begun := d.fence.begun
	d.fence.mu.Unlock()
	if !begun {
		d.renew(ctx)
	}
}

func (d *Docker) setRules(ctx context.Context, rules string) error {
	if !strings.HasPrefix(d.Host, "unix:") {
		return errors.New("the engine is on another one, where no rules can be set from here")
	}
	return runNFT(ctx, rules)
}

func runNFT(ctx context.Context, rules string) error {
	ctx, cancel := context.WithTimeout(ctx, renewTime)
	defer cancel()
	nft := exec.CommandContext(ctx, "nft", "-f", "-")
	nft.Stdin = strings.NewReader(rules)
	if said, err := nft.CombinedOutput(); err != nil {
		first, _, _ := bytes.Cut(said, []byte("\n"))
		return fmt.Errorf("nft: %w: %s", err, first)
	}
	return nil
}

// Warnings implements what cloud asks an engine for: what the admin should mend.
func (d *Docker) Warnings() (all []string) {
	d.networks.mu.Lock()
	all = append(all, d.networks.old...)
	d.networks.mu.Unlock()
	d.fence.mu.Lock()
	defer d.fence.mu.Unlock()
	return append(all, d.fence.problems...)
}

// walls are the networks of this gateway, as they are now. Their ranges are remembered.
func (d *Docker) walls(ctx context.Context) (walls []wall, err error) {
	found, err := d.ourNetworks(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range found {
		w := wall{bridge: bridge(n.ID), internet: true}
		if g, ok := d.group(n.Labels[labelGroup]); ok {
			w.internet, w.proxy = !g.NoInternet, d.fence.proxies[g.Name]
		}
		if n.Driver != "bridge" {
			continue
		}
		walls = append(walls, w)
		if subnet, gateway := subnetOf(n); subnet.IsValid() {
			maps.DeleteFunc(d.fence.ranges, func(p netip.Prefix, _ siteRange) bool { return p.Overlaps(subnet) })
			d.fence.ranges[subnet] = siteRange{subnet, rangeOf(n), netip.PrefixFrom(gateway, 32)}
		}
	}
	slices.SortFunc(walls, func(a, b wall) int { return strings.Compare(a.bridge, b.bridge) })
	return walls, nil
}

// bridge is how the engine calls the bridge of a network.
func bridge(id string) string { return "br-" + id[:12] }

func (d *Docker) proxiesOf(group string) []netip.AddrPort {
	d.fence.mu.Lock()
	defer d.fence.mu.Unlock()
	return d.fence.proxies[group]
}

// tableName is unique on a host where several gateways run.
func (d *Docker) tableName() string {
	sum := sha256.Sum256([]byte(d.Data))
	return "nuage_" + hex.EncodeToString(sum[:4])
}

// resolve finds the addresses of a group's proxy; none if it has none or nobody knows it.
func resolve(ctx context.Context, proxy string) (at []netip.AddrPort) {
	u, err := url.Parse(proxy)
	if err != nil || u.Host == "" {
		return nil
	}
	port, err := strconv.ParseUint(or(u.Port(), "80"), 10, 16)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	addresses, _ := net.DefaultResolver.LookupNetIP(ctx, "ip4", u.Hostname())
	for _, a := range addresses {
		at = append(at, netip.AddrPortFrom(a.Unmap(), uint16(port)))
	}
	return at
}

// rules is the table as nft reads it. Answers to the gateway's own connections are established; what a site begins itself
// may go to the web ports of the gateway, where other sites are found as by anybody, and out of the host, but not to
// this host, to another network of ours, or to link-local addresses, where clouds keep their secrets. And what is for a site
// goes to a bridge: where its network is gone, it would go wherever the host's routes lead.
func rules(table string, walls []wall, ranges []siteRange, web []int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s\ndelete table inet %s\n", table, table)
	if len(ranges) == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, "table inet %s {\n\tchain output {\n\t\ttype filter hook output priority filter - 10; policy accept;\n\t\toifname \"br-*\" accept\n", table)
	for _, r := range ranges {
		fmt.Fprintf(&b, "\t\t%s reject\n", r.match("ip daddr"))
	}
	b.WriteString("\t}\n}\n")
	if len(walls) == 0 {
		return b.String()
	}
	var all, shut []string
	for _, w := range walls {
		all = append(all, strconv.Quote(w.bridge))
		if !w.internet {
			shut = append(shut, strconv.Quote(w.bridge))
		}
	}
	ours := "{ " + strings.Join(all, ", ") + " }"
	fmt.Fprintf(&b, "table inet %s {\n", table)
	chain := func(hook string, lines ...string) {
		fmt.Fprintf(&b, "\tchain %s {\n\t\ttype filter hook %s priority filter - 10; policy accept;\n\t\tiifname != %s accept\n\t\tct state established,related accept\n", hook, hook, ours)
		for _, w := range walls {
			for _, p := range w.proxy {
				fmt.Fprintf(&b, "\t\tiifname %q ip daddr %s tcp dport %d accept\n", w.bridge, p.Addr(), p.Port())
			}
		}
		for _, line := range lines {
			fmt.Fprintf(&b, "\t\t%s\n", line)
		}
		b.WriteString("\t}\n")
	}
	var input []string
	for _, port := range web {
		input = append(input, fmt.Sprintf("tcp dport %d accept", port))
	}
	chain("input", append(input, "reject")...)
	forward := []string{"oifname " + ours + " reject", "ip daddr 169.254.0.0/16 reject"}
	if len(shut) > 0 {
		forward = append(forward, "iifname { "+strings.Join(shut, ", ")+" } reject")
	}
	chain("forward", forward...)
	b.WriteString("}\n")
	return b.String()
}

// match is how nft says that an address is one for sites.
func (r siteRange) match(field string) string {
	return fmt.Sprintf("%s %s %s != { %s, %s }", field, r.subnet, field, r.gateway, r.dynamic)
}

// bridgeRules is the table of the bridges: what this host says to the address of a site, it says to the container of a site
// or to nobody, whoever sends it (the gateway, nginx, Caddy), and whatever became of the site meanwhile. Nor does the host
// learn from anybody else who is at that address, so that it need not forget it again. What is in order goes through by the
// first lines of each chain: that is all packets of all visitors.
func bridgeRules(table string, ranges []siteRange) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table bridge %s\ndelete table bridge %s\n", table, table)
	if len(ranges) == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, "table bridge %s {\n", table)
	chain := func(hook, address string, inOrder ...string) {
		fmt.Fprintf(&b, "\tchain %s {\n\t\ttype filter hook %s priority filter - 10; policy accept;\n", hook, hook)
		for _, these := range inOrder {
			fmt.Fprintf(&b, "\t\t%s accept\n", these)
		}
		for _, r := range ranges {
			fmt.Fprintf(&b, "\t\t%s drop\n", r.match(address))
		}
		b.WriteString("\t}\n")
	}
	of := " & ff:ff:00:00:00:00 == " + macBegins + ":00:00:00:00"
	chain("output", "ip daddr", "ether daddr"+of)
	chain("prerouting", "arp saddr ip", "ether type != arp", "arp saddr ether"+of)
	b.WriteString("}\n")
	return b.String()
}
