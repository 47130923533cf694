package login_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/login"
	"plil.net/nuage/login/logintest"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]logintest.Options{
		"public": {}, "with a secret": {Secret: "s3cret/+&"}, "claims at the userinfo endpoint": {Lean: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSchool(t, o)
			i := s.begin()
			if left := time.Until(i.Expires); left <= 4*time.Minute || left > 5*time.Minute {
				t.Errorf("the code lives for %s", left)
			}
			s.browse(i, "jean", true)
			who, err := i.Wait(t.Context())
			if err != nil {
				t.Fatalf("%v (%v)", err, errors.Unwrap(err))
			}
			if who.Issuer != s.Issuer || who.Subject != "subject-1" || who.Name != "jean.dupont" || fmt.Sprint(who.Groups) != "[etudiants club]" || !who.Admin {
				t.Errorf("%+v", who)
			}
			// The code was used.
			s.refuses(i, cloud.Denied, "refused")
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	s := newSchool(t, logintest.Options{})
	i := s.begin()
	s.browse(i, "jean", false)
	s.refuses(i, cloud.Denied, "refused in the browser")
}

func TestTooLate(t *testing.T) {
	t.Parallel()
	s := newSchool(t, logintest.Options{CodeLife: 2 * time.Second})
	s.refuses(s.begin(), cloud.Denied, "the code has expired")
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	s := newSchool(t, logintest.Options{})
	i := s.begin()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := i.Wait(ctx); cloud.KindOf(err) != cloud.Cancelled {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]login.Options{
		"no issuer": {ClientID: "x"}, "http": {Issuer: "http://a", ClientID: "x"}, "no client": {Issuer: "https://a"},
		"no ca": {Issuer: "https://a", ClientID: "x", CA: "/nowhere"}, "empty ca": {Issuer: "https://a", ClientID: "x", CA: empty},
	} {
		if _, err := login.New(o); cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	s := newSchool(t, logintest.Options{})
	s.options.CA = ""
	if _, err := s.server().Begin(t.Context()); cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("a certificate that nobody trusts: %v", err)
	}
}
