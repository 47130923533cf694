package login_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
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

// TestSaysNo: each name that servers have for a no or an end is told as that, and others as a fault of theirs.
func TestSaysNo(t *testing.T) {
	t.Parallel()
	s := newSchool(t, logintest.Options{})
	for name, c := range map[string]struct {
		kind  cloud.Kind
		words string
	}{
		"access_denied":          {cloud.Denied, "refused in the browser"},
		"authorization_declined": {cloud.Denied, "refused in the browser"}, // of Entra ID
		"expired_token":          {cloud.Denied, "the code has expired"},
		"invalid_client":         {cloud.Unavailable, "does not work right now"},
	} {
		i := s.begin()
		s.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/token") {
				return false
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":%q}`, name)
			return true
		})
		s.refuses(i, c.kind, c.words)
		s.Intercept(nil)
	}
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
