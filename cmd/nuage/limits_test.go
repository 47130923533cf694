package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"plil.net/nuage/gateway"
	"plil.net/nuage/proxygen/builtin"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	c := defaults()
	l, err := c.limits()
	if err != nil || l.Idle != 0 || l.Startups != gateway.DefaultStartups || len(l.Trusted) != len(gateway.Local()) || l.AccountLogins != 120 {
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

// TestWebLimits: 0 is neither the usual number nor none.
func TestWebLimits(t *testing.T) {
	t.Parallel()
	c := defaults()
	if l, _, err := c.web(); err != nil || l.PerClient != builtin.DefaultPerClient || l.PerSite != builtin.DefaultPerSite || l.Wakes != builtin.DefaultWakes {
		t.Errorf("the usual: %+v %v", l, err)
	}
	c.HTTP.MaxPerClient, c.HTTP.MaxPerSite, c.HTTP.MaxWakes, c.HTTP.MaxBody = 1, 2, mostRequests, "1B"
	if l, _, err := c.web(); err != nil || l != (builtin.Limits{PerClient: 1, PerSite: 2, Wakes: mostRequests, Body: 1}) {
		t.Errorf("set: %+v %v", l, err)
	}
	for key, field := range map[string]func(*config) *int{
		"http.max_per_client": func(c *config) *int { return &c.HTTP.MaxPerClient },
		"http.max_per_site":   func(c *config) *int { return &c.HTTP.MaxPerSite },
		"http.max_wakes":      func(c *config) *int { return &c.HTTP.MaxWakes },
	} {
		for _, n := range []int{0, -1, mostRequests + 1} {
			bad := defaults()
			*field(&bad) = n
			want := fmt.Sprintf("%s = %d is not a number from 1 to 1000000", key, n)
			if _, _, err := bad.web(); err == nil || err.Error() != want {
				t.Errorf("%v, want %q", err, want)
			}
		}
	}
	bad := defaults()
	bad.HTTP.MaxBody = "0B"
	if _, _, err := bad.web(); err == nil || !strings.Contains(err.Error(), `http.max_body = "0B"`) {
		t.Errorf("max_body: %v", err)
	}
}
