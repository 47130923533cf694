package main

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
	"plil.net/nuage/login"
)

// entry is what lets people in besides the keys that the store knows, and what bounds them.
type entry struct {
	authorities gateway.Authorities // of user certificates
	revoked     *gateway.Revoked
	school      *login.Server // nil: none
	rules       cloud.Rules
	limits      gateway.Limits
}

// oidcConfig is the section [oidc]: the school's login server, and what its claims mean here.
type oidcConfig struct {
	Issuer       string   `toml:"issuer"`
	ClientID     string   `toml:"client_id"`
	ClientSecret string   `toml:"client_secret"` // a file; "": a public client
	Scopes       []string `toml:"scopes"`        // besides openid; ["profile"] if there are none
	CA           string   `toml:"ca"`

	AccountClaim  string `toml:"account_claim"`
	AccountDomain string `toml:"account_domain"`
	LinkAccounts  bool   `toml:"link_accounts"`

	GroupClaim string            `toml:"group_claim"`
	GroupOrder []string          `toml:"group_order"`
	Groups     map[string]string `toml:"groups"`

	AdminClaim string `toml:"admin_claim"`
	AdminValue string `toml:"admin_value"`

	KeyMaxAge string `toml:"key_max_age"`
}

func (c config) entry(groups []cloud.Group, log *slog.Logger) (e entry, err error) {
	if e.authorities, err = gateway.ReadAuthorities(c.SSH.UserCA); err != nil {
		return e, err
	}
	if e.revoked, err = gateway.OpenRevoked(c.SSH.Revoked); err != nil {
		return e, err
	}
	if e.limits, err = c.limits(); err != nil || c.OIDC == nil {
		return e, err
	}
	if e.rules, err = c.OIDC.rules(groups); err != nil {
		return e, err
	}
	e.school, err = c.OIDC.server(log)
	return e, err
}

// cloud gives what cloud.Options takes: a School that is no nil in disguise.
func (e entry) cloud() cloud.School {
	if e.school == nil {
		return nil
	}
	return e.school
}

// run asks the login server early whether the config is right.
func (e entry) run(ctx context.Context) {
	if e.school == nil {
		return
	}
	defer e.school.Close()
	e.school.Check(ctx)
	<-ctx.Done()
}

func (o oidcConfig) rules(groups []cloud.Group) (r cloud.Rules, err error) {
	r = cloud.Rules{Domain: o.AccountDomain, Groups: o.Groups, Order: o.GroupOrder, Link: o.LinkAccounts}
	switch {
	case (o.GroupClaim == "") != (len(o.Groups) == 0):
		return r, cloud.Errorf(cloud.Invalid, "oidc.group_claim and [oidc.groups] go together").
			WithHint(`group_claim = "groups", and a line like etudiants = "students" in [oidc.groups]`)
	case (o.AdminClaim == "") != (o.AdminValue == ""):
		return r, cloud.Errorf(cloud.Invalid, "oidc.admin_claim and oidc.admin_value go together").
			WithHint(`admin_claim = "groups" and admin_value = "nuage-admins"`)
	}
	for _, name := range slices.Concat(slices.Sorted(maps.Values(o.Groups)), o.GroupOrder) {
		if !slices.ContainsFunc(groups, func(g cloud.Group) bool { return g.Name == name }) {
			return r, cloud.Errorf(cloud.Invalid, "[oidc] names a group %q that does not exist", name).WithHint("add [groups.%s], or name another", name)
		}
	}
	return r, read("oidc.key_max_age", o.KeyMaxAge, &r.MaxAge, cloud.ParseAge)
}

func (o oidcConfig) server(log *slog.Logger) (*login.Server, error) {
	secret, err := readSecret(o.ClientSecret)
	if err != nil {
		return nil, err
	}
	scopes := o.Scopes
	if scopes == nil {
		scopes = []string{"profile"}
	}
	return login.New(login.Options{
		Issuer: o.Issuer, ClientID: o.ClientID, Secret: secret, Scopes: scopes, CA: o.CA,
		AccountClaim: o.AccountClaim, GroupClaim: o.GroupClaim, AdminClaim: o.AdminClaim, AdminValue: o.AdminValue, Log: log,
	})
}

// readSecret reads a file that only its owner and group can read.
func readSecret(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	info, err := os.Stat(file)
	if err == nil && info.Mode().Perm()&0o007 != 0 {
		return "", cloud.Errorf(cloud.Invalid, "others can read oidc.client_secret = %q (mode %04o)", file, info.Mode().Perm()).WithHint("chmod 600 %s", file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", cloud.Errorf(cloud.Invalid, "oidc.client_secret = %q cannot be read: %v", file, errors.Unwrap(err)).
			WithHint("it is a file with the secret in it; leave it out for a public client")
	}
	return strings.TrimSpace(string(text)), nil
}
