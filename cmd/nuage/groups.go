package main

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"time"

	"plil.net/nuage/cloud"
)

// groupConfig is a section [groups.NAME]. What it leaves out is groupDefaults.
type groupConfig struct {
	Network  string   `toml:"network"`
	Parent   string   `toml:"parent"`
	Gateway  string   `toml:"gateway"`
	Domains  []string `toml:"domains"`
	MaxSites *int     `toml:"max_sites"`
	Memory   string   `toml:"memory"`
	CPUs     *float64 `toml:"cpus"`
	Disk     string   `toml:"disk"`
	Idle     string   `toml:"idle"`     // engine.idle if empty
	MaxIdle  string   `toml:"max_idle"` // idle if empty
	Internet *bool    `toml:"internet"`
	Proxy    string   `toml:"http_proxy"`
}

var groupDefaults = cloud.Limits{MaxSites: 3, Memory: 128 << 20, CPUs: 0.5, Disk: 1 << 30}

// defaultGroups are those of a config without any.
var defaultGroups = map[string]groupConfig{
	"students":     {Network: "10.64.0.0/16"},
	"teachers":     {Network: "10.65.0.0/16"},
	"associations": {Network: "10.66.0.0/16"},
}

// groups are the groups of the config, by name, and the one for accounts that name none.
func (c config) groups() (list []cloud.Group, usual string, err error) {
	configs := c.Groups
	if len(configs) == 0 {
		configs = defaultGroups
	}
	idle, err := cloud.ParseIdle(c.Engine.Idle)
	if err != nil {
		return nil, "", fmt.Errorf("engine.idle: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		g, err := configs[name].group(name, idle)
		if err != nil {
			return nil, "", err
		}
		if err := apart(list, g); err != nil {
			return nil, "", err
		}
		list = append(list, g)
	}
	return list, c.usualGroup(configs), nil
}

func (c config) usualGroup(configs map[string]groupConfig) string {
	if c.DefaultGroup != "" {
		return c.DefaultGroup
	}
	if _, ok := configs["students"]; ok {
		return "students"
	}
	return slices.Min(slices.Collect(maps.Keys(configs)))
}

func (g groupConfig) group(name string, idle time.Duration) (cloud.Group, error) {
	group := cloud.Group{Name: name, Domains: g.Domains, Limits: groupDefaults}
	group.Idle = idle
	group.NoInternet, group.HTTPProxy = g.Internet != nil && !*g.Internet, g.Proxy
	key := "groups." + name
	if err := checkProxy(key+".http_proxy", g.Proxy); err != nil {
		return group, err
	}
	if _, err := cloud.ParseAccountName(name); err != nil {
		return group, cloud.Errorf(cloud.Invalid, "[%s]: %q is not a name for a group", key, name).WithHint("use a-z, 0-9 and -")
	}
	for _, d := range g.Domains {
		if err := checkDomain(key+".domains", d); err != nil {
			return group, err
		}
	}
	var err error
	if group.Network, err = parseNetwork(key+".network", g.Network); err != nil {
		return group, err
	}
	if err := g.vlan(key, &group); err != nil {
		return group, err
	}
	if err := g.limits(key, &group.Limits); err != nil {
		return group, err
	}
	group.MaxIdle = group.Idle
	return group, read(key+".max_idle", g.MaxIdle, &group.MaxIdle, cloud.ParseIdle)
}

func (g groupConfig) limits(key string, l *cloud.Limits) error {
	if g.MaxSites != nil {
		l.MaxSites = *g.MaxSites
	}
	if g.CPUs != nil {
		l.CPUs = *g.CPUs
	}
	if l.MaxSites < 0 || !(l.CPUs >= 0.01 && l.CPUs <= 1024) { // so that nan is none
		return cloud.Errorf(cloud.Invalid, "%s: max_sites = %d, cpus = %v", key, l.MaxSites, l.CPUs).WithHint("max_sites is 0 or more, cpus from 0.01 to 1024")
	}
	return firstError(
		read(key+".memory", g.Memory, &l.Memory, cloud.ParseMemory),
		read(key+".disk", g.Disk, &l.Disk, cloud.ParseSize),
		read(key+".idle", g.Idle, &l.Idle, cloud.ParseIdle),
	)
}

// checkProxy accepts what the programs in a site understand.
func checkProxy(key, s string) error {
	u, err := url.Parse(s)
	if s == "" || err == nil && u.Scheme == "http" && u.Hostname() != "" && u.Path == "" {
		return nil
	}
	return cloud.Errorf(cloud.Invalid, "%s = %q is not the address of a proxy", key, s).WithHint(`write it like "http://proxy.plil.net:3128"`)
}

// read parses a value unless it is empty, and names the key in the error.
func read[T any](key, value string, into *T, parse func(string) (T, error)) error {
	if value == "" {
		return nil
	}
	v, err := parse(value)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	*into = v
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// parseNetwork reads an IPv4 network of 16 to 65,536 addresses.
func parseNetwork(key, s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is4() || p != p.Masked() || p.Bits() < 16 || p.Bits() > 28 {
		return p, cloud.Errorf(cloud.Invalid, "%s = %q is not an IPv4 network from /16 to /28", key, s).
			WithHint(`write it like "10.64.0.0/16"`)
	}
	return p, nil
}

// interfaceName is what Linux calls interfaces, and the engine takes.
var interfaceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$`)

// vlan reads what makes a group's network a real VLAN.
func (g groupConfig) vlan(key string, group *cloud.Group) error {
	if g.Parent != "" && !interfaceName.MatchString(g.Parent) {
		return cloud.Errorf(cloud.Invalid, "%s.parent = %q is not the name of an interface", key, g.Parent).WithHint(`write it like "eth0.123"`)
	}
	group.Parent = g.Parent
	if g.Gateway == "" {
		return nil
	}
	a, err := netip.ParseAddr(g.Gateway)
	if err != nil || g.Parent == "" || !group.Network.Contains(a) || a == group.Network.Addr() {
		return cloud.Errorf(cloud.Invalid, "%s.gateway = %q is not the router of a VLAN on %s", key, g.Gateway, group.Network).
			WithHint("it is an address in network, and goes with parent")
	}
	group.Gateway = a
	return nil
}

// apart refuses networks that overlap: they are what keeps groups apart. The engine makes one network on an interface.
func apart(list []cloud.Group, g cloud.Group) error {
	for _, other := range list {
		if g.Parent != "" && g.Parent == other.Parent {
			return cloud.Errorf(cloud.Invalid, "groups %q and %q have the same parent, %s", other.Name, g.Name, g.Parent).WithHint("give each group a VLAN of its own")
		}
		if other.Network.Overlaps(g.Network) {
			return cloud.Errorf(cloud.Invalid, "the networks of groups %q and %q overlap: %s and %s",
				other.Name, g.Name, other.Network, g.Network).WithHint("give each group a network of its own")
		}
	}
	return nil
}
