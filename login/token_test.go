package login_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/login/logintest"
)

// TestClocks has the gateway's clock, or the server's, two minutes off, and ten.
func TestClocks(t *testing.T) {
	t.Parallel()
	for off, good := range map[time.Duration]bool{
		-2 * time.Minute: true, 2 * time.Minute: true, 10 * time.Minute: false,
	} {
		t.Run(off.String(), func(t *testing.T) {
			t.Parallel()
			s := newSchool(t, logintest.Options{TokenLife: 10 * time.Second})
			s.options.Now = func() time.Time { return time.Now().Add(off) }
			i := s.begin()
			s.browse(i, "jean", true)
			if _, err := i.Wait(t.Context()); (err == nil) != good {
				t.Errorf("%v (%v)", err, errors.Unwrap(err))
			}
		})
	}
}

func TestExpiredToken(t *testing.T) {
	t.Parallel()
	s := newSchool(t, logintest.Options{TokenLife: -time.Hour})
	i := s.begin()
	s.browse(i, "jean", true)
	s.refuses(i, cloud.Unavailable, "does not work right now")
}

func TestWrongIssuer(t *testing.T) {
	t.Parallel()
	s := newSchool(t, logintest.Options{Says: "https://sso.example.org"})
	if _, err := s.server().Begin(t.Context()); cloud.KindOf(err) != cloud.Unavailable || !strings.Contains(fmt.Sprint(errors.Unwrap(err)), "did not match") {
		t.Errorf("%v (%v)", err, errors.Unwrap(err))
	}
}

// idToken does the whole flow by hand.
func (s *school) idToken() (raw string) {
	s.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.CA())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	post := func(path string, form url.Values) map[string]any {
		form.Set("client_id", logintest.ClientID)
		answer, err := (&http.Client{Transport: transport}).PostForm(s.Issuer+path, form)
		if err != nil {
			s.Fatal(err)
		}
		defer answer.Body.Close()
		said := map[string]any{}
		if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
			s.Fatal(err)
		}
		return said
	}
	code := post("/device_authorization", url.Values{"scope": {"openid"}})
	if err := s.Browse(code["verification_uri"].(string), code["user_code"].(string), "jean", true); err != nil {
		s.Fatal(err)
	}
	answer := post("/oauth/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {code["device_code"].(string)}})
	return answer["id_token"].(string)
}

// TestReplay gives out tokens that are good, but not here or not now.
func TestReplay(t *testing.T) {
	t.Parallel()
	s, other := newSchool(t, logintest.Options{}), newSchool(t, logintest.Options{})
	old := s.idToken()
	for name, c := range map[string]struct {
		token string
		later time.Duration
		good  bool
	}{
		"its own, now":          {old, 0, true},
		"its own, dated back":   {old, 5*time.Minute + 10*time.Second, true}, // as Entra ID does
		"its own, of a while":   {old, 8 * time.Minute, false},
		"its own, of long ago":  {old, 20 * time.Minute, false},
		"another server's":      {other.idToken(), 0, false},
		"its own, other claims": {forged(old), 0, false},
		"no token":              {"", 0, false},
		"signed by nobody":      {"eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", 0, false},
	} {
		s.options.Now = func() time.Time { return time.Now().Add(c.later) }
		i := s.begin()
		s.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/token") {
				return false
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"access_token":"a","token_type":"Bearer","id_token":%q}`, c.token)
			return true
		})
		s.options.GroupClaim, s.options.AdminClaim = "", ""
		_, err := i.Wait(t.Context())
		s.Intercept(nil)
		if (err == nil) != c.good {
			t.Errorf("%s: %v (%v)", name, err, errors.Unwrap(err))
		}
	}
}

// forged has another subject under the same signature.
func forged(token string) string {
	parts := strings.Split(token, ".")
	body, _ := base64.RawURLEncoding.DecodeString(parts[1])
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(body), "subject-1", "subject-2", 1)))
	return strings.Join(parts, ".")
}
