package login

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"plil.net/nuage/cloud"
)

// claims are those of an ID token, and of the userinfo where the token lacks one that is asked for.
type claims map[string]any

// person checks the ID token and reads who it is about.
func (s *Server) person(ctx context.Context, p *oidc.Provider, config *oauth2.Config, token *oauth2.Token, began time.Time) (cloud.Person, error) {
	said, id, err := s.verify(ctx, p, token, began)
	if err != nil {
		return cloud.Person{}, s.away(err)
	}
	if s.lacks(said) && p.UserInfoEndpoint() != "" {
		if err := said.complete(s.context(ctx), p, config, token, id.Subject); err != nil {
			return cloud.Person{}, s.away(err)
		}
	}
	who := cloud.Person{Issuer: id.Issuer, Subject: id.Subject}
	if who.Name, err = said.name(s.AccountClaim); err != nil {
		return who, s.away(err)
	}
	if s.GroupClaim != "" {
		who.Groups = said.list(s.GroupClaim)
	}
	who.Admin = s.AdminClaim != "" && slices.Contains(said.list(s.AdminClaim), s.AdminValue)
	return who, nil
}

// verify accepts a token that the server signed for us, for this login, and that is valid on a clock that may be
// clockSkew off. The library's own leeway is for the beginning alone: a clock set back moves half of it to the end.
func (s *Server) verify(ctx context.Context, p *oidc.Provider, token *oauth2.Token, began time.Time) (claims, *oidc.IDToken, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, nil, errors.New("its answer has no id_token")
	}
	late := func() time.Time { return s.Now().Add(-clockSkew) }
	id, err := p.VerifierContext(s.context(ctx), &oidc.Config{ClientID: s.ClientID, Now: late}).Verify(ctx, raw)
	switch {
	case err != nil:
		return nil, nil, err
	case id.Subject == "":
		return nil, nil, errors.New("its id_token has no sub")
	case id.IssuedAt.Before(began.Add(-clockSkew - datedBack)):
		return nil, nil, fmt.Errorf("its id_token is of %s, long before this login began", id.IssuedAt)
	}
	said := claims{}
	return said, id, id.Claims(&said)
}

// lacks reports whether a claim that is asked for is not there.
func (s *Server) lacks(said claims) bool {
	return slices.ContainsFunc([]string{s.AccountClaim, s.GroupClaim, s.AdminClaim}, func(claim string) bool {
		return claim != "" && said.find(claim) == nil
	})
}

func (c claims) complete(ctx context.Context, p *oidc.Provider, config *oauth2.Config, token *oauth2.Token, subject string) error {
	info, err := p.UserInfo(ctx, config.TokenSource(ctx, token))
	if err != nil {
		return err
	}
	if info.Subject != subject {
		return fmt.Errorf("its userinfo is about %q, its id_token about %q", info.Subject, subject)
	}
	more := claims{}
	if err := info.Claims(&more); err != nil {
		return err
	}
	for name, value := range more {
		if _, ok := c[name]; !ok {
			c[name] = value
		}
	}
	return nil
}

// find looks a claim up, also inside others: "realm_access.roles" is where Keycloak keeps roles.
func (c claims) find(name string) any {
	if value, ok := c[name]; ok {
		return value
	}
	outer, inner, ok := strings.Cut(name, ".")
	if !ok {
		return nil
	}
	if deeper, ok := c[outer].(map[string]any); ok {
		return claims(deeper).find(inner)
	}
	return nil
}

// name is a claim that has to be one string.
func (c claims) name(claim string) (string, error) {
	switch value := c.find(claim).(type) {
	case nil:
		return "", nil // cloud says what to do
	case string:
		return value, nil
	default:
		return "", fmt.Errorf("its claim %q is not a string but %T", claim, value)
	}
}

// list is a claim of one string or of several.
func (c claims) list(claim string) (list []string) {
	switch value := c.find(claim).(type) {
	case string:
		return []string{value}
	case []any:
		for _, v := range value {
			if s, ok := v.(string); ok {
				list = append(list, s)
			}
		}
	case bool:
		return []string{fmt.Sprint(value)}
	}
	return list
}
