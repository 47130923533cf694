package provision

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
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

// fence keeps sites from all that is not the internet, by a table of nftables that is ours alone: the engine's rules and
// those of the host stay as they are, and whatever they let through, ours can still refuse. The table is replaced whole, in
// one transaction, so it may be renewed at any time. It stays when the gateway stops, for the sites do not.
type fence struct {
	mu      sync.Mutex
	begun   bool                        // the rules were set once
	problem string                      // why they do not stand
	proxies map[string][]netip.AddrPort // of groups
}

// wall is one network of ours on this host.
type wall struct {
	bridge   string
	internet bool
	proxy    []netip.AddrPort // may be reached all the same
}

// renewTime bounds the program that sets the rules.
const renewTime = 10 * time.Second

// renew makes the rules fit the networks that there are.
func (d *Docker) renew(ctx context.Context) {
	d.fence.mu.Lock()
	defer d.fence.mu.Unlock()
	d.fence.proxies = map[string][]netip.AddrPort{}
	for _, g := range d.Groups {
		d.fence.proxies[g.Name] = resolve(ctx, g.HTTPProxy)
	}
	walls, err := d.walls(ctx)
	if err != nil {
		return // the engine is away, which others tell
	}
	d.fence.begun = true
	if err := d.setRules(ctx, rules(d.tableName(), walls, d.WebPorts)); err != nil {
		if problem := fmt.Sprintf("sites can reach the services of this host: %v", err); problem != d.fence.problem {
			d.fence.problem = problem
			d.Log.Warn(problem, "hint", "run as root, or with CAP_NET_ADMIN, on a host with nftables")
		}
		return
	}
	d.fence.problem = ""
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
	if d.fence.problem != "" {
		all = append(all, d.fence.problem)
	}
	return all
}

// walls are the networks of this gateway, as they are now.
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
		if n.Driver == "bridge" {
			walls = append(walls, w)
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
// this host, to another network of ours, or to link-local addresses, where clouds keep their secrets.
func rules(table string, walls []wall, web []int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s\ndelete table inet %s\n", table, table)
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
