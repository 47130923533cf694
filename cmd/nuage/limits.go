package main

import (
	"fmt"
	"net/netip"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

// limits are what bounds those who come to the SSH door.
func (c config) limits() (l gateway.Limits, err error) {
	l.Trusted, err = trusted(c.SSH.Trusted)
	if l.AccountLogins = c.SSH.MaxLogins; l.AccountLogins < 1 || l.AccountLogins > 100_000 {
		return l, cloud.Errorf(cloud.Invalid, "ssh.max_logins = %d is not a number from 1 to 100000", c.SSH.MaxLogins).WithHint("write it like 120")
	}
	return l, firstError(err,
		read("ssh.max_startups", c.SSH.MaxStartups, &l.Startups, gateway.ParseStartups),
		read("ssh.idle", c.SSH.Idle, &l.Idle, cloud.ParseIdle),
		read("ssh.keepalive", c.SSH.KeepAlive, &l.KeepAlive, parseKeepAlive),
	)
}

func parseKeepAlive(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second || d > time.Hour {
		return 0, cloud.Errorf(cloud.Invalid, "%q is not a time from 1s to 1h", text).WithHint("write it like 15s")
	}
	return d, nil
}

// trusted reads networks and addresses whose connections earn no penalties. Those of this host never do.
func trusted(list []string) ([]netip.Prefix, error) {
	prefixes := gateway.Local()
	for _, text := range list {
		p, err := parsePeer(text)
		if err != nil {
			return nil, fmt.Errorf("ssh.trusted: %w", cloud.Errorf(cloud.Invalid, "%q is neither a network nor an address", text).
				WithHint("write it like \"192.0.2.0/24\" or \"2001:db8::/32\""))
		}
		prefixes = append(prefixes, p)
	}
	return prefixes, nil
}
