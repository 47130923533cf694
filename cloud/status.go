package cloud

import (
	"context"
	"time"
)

// Status is how the gateway is.
type Status struct {
	Version  string        `json:"version"`
	Started  time.Time     `json:"started"`
	Engine   string        `json:"engine"`
	EngineUp bool          `json:"engine_up"`
	Problem  string        `json:"problem,omitempty"` // of the engine
	Accounts int           `json:"accounts"`
	Sites    map[State]int `json:"sites"`
	InUse    int           `json:"sites_in_use"`       // held right now
	Dropped  int64         `json:"access_log_dropped"` // requests that no access log could keep
	Waking   int           `json:"sites_waking"`       // starts under way, for who waits
	Updating int           `json:"sites_updating"`     // to another image, right now
	Outdated int           `json:"sites_outdated"`     // whose container has not the image that its name leads to; some seconds old
	Failed   []FailedSite  `json:"sites_failed"`
	Full     []string      `json:"sites_full"`                 // of files: their programs may not write
	Held     []HeldSite    `json:"sites_held"`                 // by an image that did not come up
	Memory   int64         `json:"memory,omitempty"`           // bytes of the host's memory
	Spare    int64         `json:"memory_available,omitempty"` // of it, for programs that are to start
	Disk     int64         `json:"disk,omitempty"`             // bytes of the file system of the homes
	DiskFree int64         `json:"disk_free,omitempty"`
	Limits   string        `json:"disk_limits"` // what holds them: kernel quotas, or counting
	Repairs  []Repair      `json:"repairs"`
	Warnings []string      `json:"warnings"` // what the admin should mend
	// CertificateProblems say in words what is wrong with certificates.
	CertificateProblems []string `json:"certificate_problems"`
	RootCA              string   `json:"root_ca"` // PEM
}

// FailedSite is a site that should run and does not.
type FailedSite struct {
	Site   string `json:"site"`
	Reason string `json:"reason"`
}

// HeldSite is a site on the image it had, for its new one did not come up.
type HeldSite struct {
	Site string `json:"site"`
	Held
}

// HostUse is what the gateway's host has, in bytes; 0 is not known.
type HostUse struct{ Memory, Spare, Disk, DiskFree int64 }

// Status tells admins how the gateway is.
func (c *Cloud) Status(ctx context.Context, who Who) (s Status, err error) {
	err = c.do(ctx, who, StatusOf, "", func(Account) error {
		s = Status{
			Version: c.Version, Started: c.started.UTC().Truncate(time.Second), Engine: c.Engine.Name(),
			Sites: map[State]int{}, Warnings: []string{}, Repairs: c.repairs.all(), RootCA: c.RootCA, InUse: c.holds.held(), Dropped: c.Hits.Dropped(),
			Limits:              c.diskLimits(),
			CertificateProblems: append([]string{}, c.certificateProblems()...),
		}
		if err := c.Engine.Ping(ctx); err != nil {
			s.Problem = err.Error()
		}
		if e, ok := c.Engine.(interface{ Warnings() []string }); ok {
			s.Warnings = append(s.Warnings, e.Warnings()...)
		}
		if w := c.Clock.warning(); w != "" {
			s.Warnings = append(s.Warnings, w)
		}
		if w := c.audit.warning(); w != "" {
			s.Warnings = append(s.Warnings, w)
		}
		if c.CertTrouble != nil {
			if text := c.CertTrouble(); text != "" {
				s.Warnings = append(s.Warnings, text)
			}
		}
		s.Waking, s.Updating = c.wakes.count(), c.rollout.count()
		if c.Host != nil {
			h := c.Host()
			s.Memory, s.Spare, s.Disk, s.DiskFree = h.Memory, h.Spare, h.Disk, h.DiskFree
		}
		s.EngineUp = s.Problem == "" && s.Engine != "none"
		sites, err := s.count(ctx, c)
		if err == nil && s.EngineUp {
			s.Outdated = c.outdated(ctx, sites)
			s.Warnings = append(s.Warnings, c.missingImages(ctx)...)
		}
		if c.Pressed != nil && c.Pressed() {
			s.Warnings = append(s.Warnings, "memory is short: the sites that were not used for the longest time are put to sleep")
		}
		return err
	})
	return s, err
}

func (s *Status) count(ctx context.Context, c *Cloud) (sites []Site, err error) {
	s.Held, s.Failed, s.Full = []HeldSite{}, []FailedSite{}, []string{}
	err = c.Store.View(ctx, func(tx Tx) error {
		accounts, err := tx.Accounts()
		if err != nil {
			return err
		}
		s.Accounts = len(accounts)
		sites, err = tx.Sites()
		return err
	})
	for _, site := range sites {
		s.Sites[site.State]++
		if site.State == Failed {
			s.Failed = append(s.Failed, FailedSite{site.Name, site.Reason})
		}
		if site.Full {
			s.Full = append(s.Full, site.Name)
		}
		if site.Held != nil {
			s.Held = append(s.Held, HeldSite{site.Name, *site.Held})
		}
	}
	return sites, err
}

// GroupInfo is a group with what it has.
type GroupInfo struct {
	Group
	Accounts int `json:"accounts"`
	Sites    int `json:"sites"`
}

// GroupList lists the groups of the config.
func (c *Cloud) GroupList(ctx context.Context, who Who) (list []GroupInfo, err error) {
	err = c.do(ctx, who, GroupList, "", func(Account) error {
		accounts, err := c.accounts(ctx)
		for _, name := range c.groupNames() {
			g := GroupInfo{Group: c.groups[name]}
			for _, a := range accounts {
				if a.Group == name {
					g.Accounts++
					g.Sites += a.Sites
				}
			}
			list = append(list, g)
		}
		return err
	})
	return list, err
}
