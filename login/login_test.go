package login_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	s := newSchool(t, logintest.Options{})
	server := s.server()
	s.Close()
	_, err := server.Begin(t.Context())
	var e *cloud.Error
	if !errors.As(err, &e) || e.Kind != cloud.Unavailable || !strings.Contains(e.Hint, "keys that are known still let in") || strings.Contains(e.Message+e.Hint, "127.0.0.1") {
		t.Errorf("%+v", e)
	}
}

// TestGoesAway cuts connections while somebody waits, and answers 503, and comes back.
func TestGoesAway(t *testing.T) {
	t.Parallel()
	s := newSchool(t, logintest.Options{})
	i := s.begin()
	var asked atomic.Int32
	s.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasPrefix(r.URL.Path, "/device"):
			return false
		case asked.Add(1) == 1:
			return logintest.Away(w, r)
		case asked.Load() == 2:
			http.Error(w, "down for repair", http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	s.browse(i, "jean", true)
	if who, err := i.Wait(t.Context()); err != nil || who.Subject != "subject-1" || asked.Load() < 3 {
		t.Errorf("%+v %v, asked %d times", who, err, asked.Load())
	}
}

// TestSlowDown: who is told to slow down waits 5 seconds more from then on, and is not sent away.
func TestSlowDown(t *testing.T) {
	t.Parallel()
	s := newSchool(t, logintest.Options{})
	i := s.begin()
	var told atomic.Int64
	s.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/token") {
			return false
		}
		if told.CompareAndSwap(0, time.Now().UnixNano()) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"slow_down"}`)
			return true
		}
		if waited := time.Since(time.Unix(0, told.Load())); waited < 5*time.Second {
			t.Errorf("asked again after %s", waited)
		}
		return false
	})
	s.browse(i, "jean", true)
	if _, err := i.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSlow(t *testing.T) {
	t.Parallel()
	s := newSchool(t, logintest.Options{})
	s.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-time.After(700 * time.Millisecond): // an answer that takes its time is an answer
		case <-r.Context().Done():
		}
		return false
	})
	i := s.begin()
	s.browse(i, "jean", true)
	if _, err := i.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestNonsense is a server that answers, but not as one should.
func TestNonsense(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"not JSON":           `<html>`,
		"nothing":            `{}`,
		"no link":            `{"device_code":"d","user_code":"c"}`,
		"link to a program":  `{"device_code":"d","user_code":"c","verification_uri":"javascript:alert(1)"}`,
		"controls in a link": `{"device_code":"d","user_code":"c","verification_uri":"https://a/\u001b[2J"}`,
		"controls in a code": `{"device_code":"d","user_code":"\u001b]0;x\u0007","verification_uri":"https://a/"}`,
		"long link":          `{"device_code":"d","user_code":"c","verification_uri":"https://a/` + strings.Repeat("a", 600) + `"}`,
		"endless":            `{"device_code":"` + strings.Repeat("a", 2<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSchool(t, logintest.Options{})
			s.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if strings.Contains(r.URL.Path, "device_authorization") {
					w.Header().Set("Content-Type", "application/json")
					_, _ = io.WriteString(w, answer)
					return true
				}
				return false
			})
			if i, err := s.server().Begin(t.Context()); cloud.KindOf(err) != cloud.Unavailable {
				t.Errorf("%+v %v", i, err)
			}
		})
	}
}

// TestOddNumbers: the library's ticker would panic on them.
func TestOddNumbers(t *testing.T) {
	t.Parallel()
	for _, numbers := range []string{
		`"interval":-1,"expires_in":-5`, `"interval":9000000000000000000,"expires_in":9000000000000000000`, `"interval":0`,
	} {
		s := newSchool(t, logintest.Options{})
		s.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "device_authorization") {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"device_code":"d","user_code":"c","verification_uri":"https://a/",`+numbers+`}`)
				return true
			}
			return false
		})
		i := s.begin()
		if time.Until(i.Expires) > 5*time.Minute {
			t.Errorf("%s: expires %s", numbers, i.Expires)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, _ = i.Wait(ctx)
		cancel()
	}
}

// TestProxy reaches a server whose name only the proxy knows, as HTTPS_PROXY says: in a process of its own, because Go
// reads it once.
func TestProxy(t *testing.T) {
	if os.Getenv("LOGIN_ISSUER") != "" {
		s, err := login.New(login.Options{Issuer: os.Getenv("LOGIN_ISSUER"), ClientID: logintest.ClientID, CA: os.Getenv("LOGIN_CA")})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Begin(t.Context()); err != nil {
			t.Errorf("%v (%v)", err, errors.Unwrap(err))
		}
		return
	}
	t.Parallel()
	const name = logintest.Name
	s := newSchool(t, logintest.Options{Says: "https://" + name})
	proxy := s.NewProxy()
	defer proxy.Close()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxy$")
	cmd.Env = append(os.Environ(), "HTTPS_PROXY="+proxy.URL, "LOGIN_ISSUER=https://"+name, "LOGIN_CA="+s.options.CA)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if got := proxy.Asked(); len(got) == 0 || got[0] != "CONNECT "+name+":443" {
		t.Errorf("the proxy was asked %v", got)
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
