package login

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"plil.net/nuage/cloud"
)

// Bounds of what the server says.
const (
	maxLink     = 512 // bytes
	maxCode     = 64
	minInterval = 1 // seconds between two questions
	maxInterval = 60
	usual       = 5 // RFC 8628 section 3.2
)

// Begin implements cloud.School.
func (s *Server) Begin(ctx context.Context) (cloud.Invitation, error) {
	p, err := s.provider(ctx)
	if err != nil {
		return cloud.Invitation{}, s.away(err)
	}
	began := s.Now()
	config := s.config(p)
	var secret []oauth2.AuthCodeOption
	if s.Secret != "" {
		secret = append(secret, oauth2.SetAuthURLParam("client_secret", s.Secret)) // RFC 8628 section 3.1
	}
	code, err := config.DeviceAuth(s.context(ctx), secret...)
	if err == nil {
		err = check(code)
	}
	if err != nil {
		return cloud.Invitation{}, s.away(err)
	}
	bound(code)
	return cloud.Invitation{
		Link: code.VerificationURI, Complete: code.VerificationURIComplete, Code: code.UserCode, Expires: code.Expiry,
		Wait: func(ctx context.Context) (cloud.Person, error) {
			ctx, cancel := context.WithDeadline(ctx, code.Expiry)
			defer cancel()
			token, err := s.poll(ctx, config, code)
			if err != nil {
				return cloud.Person{}, s.refused(ctx, err)
			}
			return s.person(ctx, p, config, token, began)
		},
	}, nil
}

// check refuses what cannot be shown to a person at a terminal.
func check(code *oauth2.DeviceAuthResponse) error {
	for _, link := range []string{code.VerificationURI, code.VerificationURIComplete} {
		if u, err := url.Parse(link); link != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || len(link) > maxLink || odd(link)) {
			return errors.New("its verification_uri is not a link that can be shown")
		}
	}
	if code.VerificationURI == "" || code.UserCode == "" || len(code.UserCode) > maxCode || odd(code.UserCode) || code.DeviceCode == "" {
		return errors.New("its answer lacks a link or a code that can be shown")
	}
	return nil
}

func odd(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) })
}

// bound keeps the server's numbers where the library does not: its ticker panics on an interval of less than one.
func bound(code *oauth2.DeviceAuthResponse) {
	if code.Interval == 0 {
		code.Interval = usual
	}
	code.Interval = min(max(code.Interval, minInterval), maxInterval)
	if last := time.Now().Add(codeLife); code.Expiry.IsZero() || code.Expiry.After(last) {
		code.Expiry = last
	}
}

// poll asks until the person has logged in. The library knows slow_down and pending, but gives up at the first
// question that gets no answer: then poll goes on, half as often (RFC 8628 section 3.5).
func (s *Server) poll(ctx context.Context, config *oauth2.Config, code *oauth2.DeviceAuthResponse) (*oauth2.Token, error) {
	for {
		token, err := config.DeviceAccessToken(s.context(ctx), code)
		var said *oauth2.RetrieveError
		answered := errors.As(err, &said) && said.Response.StatusCode < 500 && said.Response.StatusCode != 429
		if err == nil || answered || ctx.Err() != nil {
			return token, err
		}
		s.Log.Debug("login server does not answer", "err", err)
		code.Interval = min(2*code.Interval, maxInterval)
	}
}

// refused tells why nobody logged in.
func (s *Server) refused(ctx context.Context, err error) error {
	var said *oauth2.RetrieveError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() != nil:
		return tooLate().Because(err)
	case !errors.As(err, &said):
		return s.away(err)
	}
	switch said.ErrorCode {
	case "expired_token":
		return tooLate().Because(err)
	case "access_denied", "authorization_declined": // Entra ID has a name of its own for it
		return cloud.Errorf(cloud.Denied, "the school login was refused in the browser").WithHint("if it was you, try again").Because(err)
	}
	return s.away(err)
}

func tooLate() *cloud.Error {
	return cloud.Errorf(cloud.Denied, "the code has expired: nobody logged in with it within its time").WithHint("try again for a new one")
}

// away logs what is wrong with the server, which only its admins can put right.
func (s *Server) away(err error) error {
	var mismatch *oidc.IssuerMismatchError
	if errors.As(err, &mismatch) {
		s.Log.Error("oidc.issuer is not what the login server calls itself", "issuer", mismatch.Provided, "server", mismatch.Discovered)
	} else {
		s.Log.Warn("login server", "issuer", s.Issuer, "err", err)
	}
	return cloud.Errorf(cloud.Unavailable, "the school login does not work right now").
		WithHint("try again later, or tell your admin; keys that are known still let in").Because(err)
}
