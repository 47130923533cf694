package login_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/login/logintest"
)

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
