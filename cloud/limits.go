package cloud

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits are what hold for an account: its group's, with its own exceptions.
func (c *Cloud) Limits(a Account) Limits { return c.groups[a.Group].Limits.With(a.Exceptions) }

func (c *Cloud) groupNames() []string { return slices.Sorted(maps.Keys(c.groups)) }

// accountSettings are the keys of SetAccount. An empty value restores the group's.
var accountSettings = map[string]func(c *Cloud, a *Account, value string) error{
	"group": func(c *Cloud, a *Account, v string) error {
		if v == "" {
			v = c.DefaultGroup
		}
		a.Group = v
		return c.checkGroup(v)
	},
	"role": func(_ *Cloud, a *Account, v string) error {
		if v == "" {
			v = string(Member)
		}
		a.Role = Role(v)
		if a.Role != Member && a.Role != Admin {
			return Errorf(Invalid, "role %q is not known", v).WithHint("the roles are member and admin")
		}
		return nil
	},
	"link": func(_ *Cloud, a *Account, v string) error {
		switch v {
		case "yes", "":
			a.Link = v != ""
		case "no":
			a.Link, a.School = false, nil
		default:
			return Errorf(Invalid, "link %q is not known", v).
				WithHint("yes: the next school login by its name gets the account; no: it is bound to none")
		}
		return nil
	},
	"max_sites": func(_ *Cloud, a *Account, v string) error { return except(&a.Exceptions.MaxSites, v, parseCount) },
	"memory":    func(_ *Cloud, a *Account, v string) error { return except(&a.Exceptions.Memory, v, ParseMemory) },
	"disk":      func(_ *Cloud, a *Account, v string) error { return except(&a.Exceptions.Disk, v, ParseSize) },
	"cpus":      func(_ *Cloud, a *Account, v string) error { return except(&a.Exceptions.CPUs, v, parseCPUs) },
	"idle":      func(_ *Cloud, a *Account, v string) error { return except(&a.Exceptions.Idle, v, ParseIdle) },
}

func except[T any](field **T, value string, parse func(string) (T, error)) error {
	if value == "" {
		*field = nil
		return nil
	}
	v, err := parse(value)
	if err != nil {
		return err
	}
	*field = &v
	return nil
}

// SetAccount changes settings given as KEY=VALUE, all or none. New limits hold for a site from its
// next start; Reconcile sees to that within minutes. That of the disk holds at once.
func (c *Cloud) SetAccount(ctx context.Context, who Who, name string, pairs []string) error {
	defer c.reviewAccount(ctx, name)
	err := c.changeAccount(ctx, who, AccountSet, name, strings.Join(pairs, " "), func(_ Tx, a *Account) error {
		for _, pair := range pairs {
			key, value, err := splitPair(pair)
			if err != nil {
				return err
			}
			set, ok := accountSettings[key]
			if !ok {
				return Errorf(Invalid, "there is no setting %q", key).
					WithHint("the settings are %s", strings.Join(slices.Sorted(maps.Keys(accountSettings)), ", "))
			}
			if err := set(c, a, value); err != nil {
				return err
			}
		}
		if name == who.Account && a.Role != Admin {
			return Errorf(Denied, "you cannot take the admin role from yourself").WithHint("ask another admin")
		}
		return nil
	})
	if err == nil {
		c.limitDisks(func(owner string) bool { return owner == name })
	}
	return err
}

var units = []struct {
	name string
	size int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", 1 << 40}, {"B", 1},
}

// ParseSize reads a number of bytes with a unit, such as "128MiB", "1.5 GB" or "4096B". A bare number is refused:
// it has been taken for megabytes too often.
func ParseSize(s string) (int64, error) {
	bad := Errorf(Invalid, "%q is not a size", s).WithHint("write a number and a unit, like 128MiB or 1GiB")
	for _, u := range units {
		number, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(n >= 0 && n*float64(u.size) < 1<<62) {
			return 0, bad
		}
		return int64(n * float64(u.size)), nil
	}
	return 0, bad
}

// minMemory is what a PHP site needs to start at all.
const minMemory = 32 << 20

// ParseMemory is ParseSize for a container's memory.
func ParseMemory(s string) (int64, error) {
	n, err := ParseSize(s)
	if err == nil && n < minMemory {
		return 0, Errorf(Invalid, "memory %q is too little", s).WithHint("the least is 32MiB")
	}
	return n, err
}

// FormatSize is the shortest binary form of a number of bytes: "128MiB", "1.5GiB".
func FormatSize(n int64) string {
	for i := 3; i >= 0; i-- {
		if n >= units[i].size {
			v := float64(n) / float64(units[i].size)
			return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0") + units[i].name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// parseCount reads a number of things, 0 to 10,000.
func parseCount(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 10_000 {
		return 0, Errorf(Invalid, "%q is not a number from 0 to 10000", s)
	}
	return n, nil
}

// parseCPUs reads a number of cores, such as "0.5".
func parseCPUs(s string) (float64, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0.01 && n <= 1024) {
		return 0, Errorf(Invalid, "%q is not a number of cores", s).WithHint("write it like 0.5")
	}
	return n, nil
}

// ParseIdle reads after how long without use a site is stopped; "never" is 0.
func ParseIdle(s string) (time.Duration, error) {
	if s == "never" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Second {
		return 0, Errorf(Invalid, "%q is not a time of at least 1s", s).WithHint("write it like 30m or 2h, or never")
	}
	return d, nil
}

// ParseAge reads how long something lasts: "180d", or a duration as ParseIdle takes it. "never" is 0: for ever.
func ParseAge(s string) (time.Duration, error) {
	days, ok := strings.CutSuffix(s, "d")
	if !ok {
		return ParseIdle(s)
	}
	n, err := strconv.Atoi(days)
	if err != nil || n < 1 || n > 36_500 {
		return 0, Errorf(Invalid, "%q is not a number of days", s).WithHint("write it like 180d")
	}
	return time.Duration(n) * 24 * time.Hour, nil
}

// formatAge is what ParseAge reads.
func formatAge(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	return FormatIdle(d)
}

// FormatIdle is what ParseIdle reads.
func FormatIdle(d time.Duration) string {
	if d == 0 {
		return "never"
	}
	s := d.String()
	s = strings.TrimSuffix(s, "0s")
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	if s == "" || !slices.Contains([]byte("hms"), s[len(s)-1]) {
		return d.String()
	}
	return s
}
