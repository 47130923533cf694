package login_test

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"plil.net/nuage/login"
	"plil.net/nuage/login/logintest"
)

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
