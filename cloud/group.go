package cloud

import (
	"net/netip"
	"time"
)

// Group is a kind of people: a network of its own, the domains it may use and its limits. Groups come
// from the config, not from the store.
type Group struct {
	Name    string       `json:"name"`
	Network netip.Prefix `json:"network"`
	Split   int          `json:"-"`       // length of the prefixes of its subnets; subnetBits if 0
	Parent  string       `json:"parent"`  // interface of the host that the group's VLAN is on; "": a bridge for each subnet
	Gateway netip.Addr   `json:"gateway"` // that VLAN's router; the first address of Network if there is none
	Domains []string     `json:"domains"` // besides the default domain

	NoInternet bool          `json:"no_internet"`          // its sites reach nothing outside of the host but the proxy
	HTTPProxy  string        `json:"http_proxy,omitempty"` // URL of the proxy that its sites are to use
	MaxIdle    time.Duration `json:"max_idle"`             // the most that a site may set for itself; 0: never asleep
	Limits
}

// Limits hold for each account of a group.
type Limits struct {
	MaxSites int           `json:"max_sites"`
	Memory   int64         `json:"memory"` // bytes a site
	CPUs     float64       `json:"cpus"`   // cores a site
	Disk     int64         `json:"disk"`   // bytes a site
	Idle     time.Duration `json:"idle"`   // 0: never asleep
}

// Exceptions are one account's own limits; a nil field is the group's.
type Exceptions struct {
	MaxSites *int           `json:"max_sites,omitempty"`
	Memory   *int64         `json:"memory,omitempty"`
	CPUs     *float64       `json:"cpus,omitempty"`
	Disk     *int64         `json:"disk,omitempty"`
	Idle     *time.Duration `json:"idle,omitempty"`
}

// With returns the limits with the exceptions applied.
func (l Limits) With(x Exceptions) Limits {
	replace(&l.MaxSites, x.MaxSites)
	replace(&l.Memory, x.Memory)
	replace(&l.CPUs, x.CPUs)
	replace(&l.Disk, x.Disk)
	replace(&l.Idle, x.Idle)
	return l
}

func replace[T any](dst, src *T) {
	if src != nil {
		*dst = *src
	}
}
