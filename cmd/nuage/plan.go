package main

import (
	"fmt"
	"log/slog"
	"net/netip"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
)

// plan is what a config asks for, read and checked. Nothing is open yet.
type plan struct {
	config    config
	groups    []cloud.Group
	usual     string // the group of accounts that name none
	spare     int64  // bytes of memory that the host keeps for what starts
	logSize   int64  // bytes of a site's access log
	limits    builtin.Limits
	proxies   []netip.Prefix // that may speak for visitors
	resolver  cloud.Resolver
	addresses []netip.Addr // at which the web finds us
	entry     entry
}

func (c config) plan(log *slog.Logger) (p plan, err error) {
	p.config = c
	if err := c.check(); err != nil {
		return p, err
	}
	if p.groups, p.usual, err = c.groups(); err != nil {
		return p, err
	}
	if p.spare, err = cloud.ParseSize(c.Engine.Spare); err != nil {
		return p, fmt.Errorf("engine.spare: %w", err)
	}
	if p.logSize, err = c.accessLog(); err != nil {
		return p, err
	}
	if p.limits, p.proxies, err = c.web(); err != nil {
		return p, err
	}
	if p.resolver, p.addresses, err = c.dns(); err != nil {
		return p, err
	}
	p.entry, err = c.entry(p.groups, log)
	return p, err
}
