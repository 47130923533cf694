package login_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"plil.net/nuage/cloud"
	"plil.net/nuage/login"
	"plil.net/nuage/login/logintest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// school is a provider with one person, and a server that asks it.
type school struct {
	*testing.T
	*logintest.Provider
	options login.Options
}

func newSchool(t *testing.T, o logintest.Options) *school {
	t.Helper()
	p, err := logintest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, p.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Knows("jean", "subject-1", map[string]any{
		"preferred_username": "jean.dupont", "groups": []string{"etudiants", "club"}, "realm_access": map[string]any{"roles": []string{"nuage-admin"}},
	})
	return &school{t, p, login.Options{
		Issuer: p.Issuer, ClientID: logintest.ClientID, Secret: o.Secret, Scopes: []string{"profile"}, CA: ca,
		GroupClaim: "groups", AdminClaim: "realm_access.roles", AdminValue: "nuage-admin",
	}}
}

func (s *school) server() *login.Server {
	s.Helper()
	server, err := login.New(s.options)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(server.Close)
	return server
}

func (s *school) begin() cloud.Invitation {
	s.Helper()
	i, err := s.server().Begin(s.Context())
	if err != nil {
		s.Fatalf("%v (%v)", err, errors.Unwrap(err))
	}
	return i
}

func (s *school) browse(i cloud.Invitation, name string, allow bool) {
	s.Helper()
	if err := s.Browse(i.Complete, i.Code, name, allow); err != nil {
		s.Fatal(err)
	}
}

// refuses waits for a login that must fail.
func (s *school) refuses(i cloud.Invitation, kind cloud.Kind, message string) {
	s.Helper()
	who, err := i.Wait(s.Context())
	if cloud.KindOf(err) != kind || !strings.Contains(fmt.Sprint(err), message) {
		s.Errorf("%+v, %v (%v), want %s %q", who, err, errors.Unwrap(err), kind, message)
	}
}
