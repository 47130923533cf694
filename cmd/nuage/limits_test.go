package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"plil.net/nuage/gateway"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	c := defaults()
	l, err := c.limits()
	if err != nil || l.Idle != 0 || l.Startups != (gateway.Startups{}) || len(l.Trusted) != len(gateway.Local()) || l.AccountLogins != 120 {
		t.Errorf("the usual: %+v %v", l, err)
	}
	c.SSH.Trusted, c.SSH.MaxStartups, c.SSH.Idle = []string{"192.0.2.7/24", "2001:db8::1"}, "10:30:100", "2h"
	l, err = c.limits()
	if err != nil || l.Idle != 2*time.Hour || l.Startups != (gateway.Startups{Start: 10, Rate: 30, Full: 100}) {
		t.Errorf("set: %+v %v", l, err)
	}
	own := l.Trusted[len(gateway.Local()):]
	if len(own) != 2 || own[0] != netip.MustParsePrefix("192.0.2.0/24") || own[1] != netip.MustParsePrefix("2001:db8::1/128") {
		t.Errorf("trusted: %v", own)
	}
	for want, spoil := range map[string]func(*config){
		"ssh.trusted":      func(c *config) { c.SSH.Trusted = []string{"campus"} },
		"ssh.max_startups": func(c *config) { c.SSH.MaxStartups = "many" },
		"ssh.max_logins":   func(c *config) { c.SSH.MaxLogins = 0 },
		"ssh.idle":         func(c *config) { c.SSH.Idle = "soon" },
	} {
		bad := defaults()
		spoil(&bad)
		if _, err := bad.limits(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
