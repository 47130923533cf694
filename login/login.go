// Package login asks a school's login server who somebody is: OpenID Connect's device flow (RFC 8628), for people whose
// browser is somewhere else. It implements cloud.School. It knows no SSH and keeps no account: what a person is here
// is decided by cloud.
package login

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"plil.net/nuage/cloud"
)

// Options are what a Server is made of. Issuer and ClientID are needed.
type Options struct {
	Issuer   string // https URL, to the letter as the server says it
	ClientID string
	Secret   string   // "" for a public client
	Scopes   []string // besides openid
	CA       string   // file of certificates that are trusted besides the system's; "" for none

	AccountClaim string // "preferred_username" if empty
	GroupClaim   string // "" for none
	AdminClaim   string // has AdminValue for admins; "" for none
	AdminValue   string

	Log *slog.Logger
	Now func() time.Time
}

// What is waited for.
const (
	answerTime = 15 * time.Second // for each answer of the server
	codeLife   = 5 * time.Minute  // a code's, whatever the server gives it (RFC 8628 section 5.4)
	knownTime  = time.Hour        // until the server is asked for its endpoints again
	clockSkew  = 150 * time.Second
	datedBack  = 5 * time.Minute // an ID token's time of issue, by Entra ID
	maxAnswer  = 1 << 20         // bytes
)

// Server is a login server. Its methods may be called concurrently. It is asked for its endpoints when somebody wants
// to log in, so a gateway starts without it.
type Server struct {
	Options
	client *http.Client

	mu    sync.Mutex
	known *oidc.Provider
	since time.Time
}

var _ cloud.School = (*Server)(nil)

// New makes a Server. Errors are Invalid: of the options, and of the file of certificates.
func New(o Options) (*Server, error) {
	u, err := url.Parse(o.Issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, cloud.Errorf(cloud.Invalid, "oidc.issuer = %q is not an https address", o.Issuer).WithHint(`write it like "https://sso.plil.net"`)
	}
	if o.ClientID == "" {
		return nil, cloud.Errorf(cloud.Invalid, "oidc.client_id is missing").WithHint("it is what the login server calls nuage")
	}
	if o.AccountClaim == "" {
		o.AccountClaim = "preferred_username"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	roots, err := trust(o.CA)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() // with the proxy of the environment
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	return &Server{Options: o, client: &http.Client{Transport: whole{transport}}}, nil
}

// trust is the system's certificates and those of a file; nil, which is the system's, without one.
func trust(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, cloud.Errorf(cloud.Invalid, "oidc.ca = %q cannot be read: %v", file, errors.Unwrap(err)).WithHint("name a file of certificates, PEM")
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, cloud.Errorf(cloud.Invalid, "oidc.ca = %q holds no certificate", file).WithHint("it has to be PEM: -----BEGIN CERTIFICATE-----")
	}
	return pool, nil
}

// whole reads each answer to its end, within a time and a size. The libraries do not all close what they read.
type whole struct{ *http.Transport }

func (w whole) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	answer, err := w.Transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, err
}

// Close ends the connections that wait for the next question.
func (s *Server) Close() { s.client.CloseIdleConnections() }

// Check asks the server for its endpoints, so that a mistake in the config is in the log before somebody meets it.
func (s *Server) Check(ctx context.Context) {
	if _, err := s.provider(ctx); err != nil && ctx.Err() == nil {
		s.Log.Warn("login server", "issuer", s.Issuer, "err", err)
	}
}

// provider is what the server says of itself.
func (s *Server) provider(ctx context.Context) (*oidc.Provider, error) {
	s.mu.Lock()
	known, since := s.known, s.since
	s.mu.Unlock()
	if known != nil && s.Now().Sub(since) < knownTime {
		return known, nil
	}
	p, err := oidc.NewProvider(s.context(ctx), s.Issuer)
	if err != nil {
		return nil, err
	}
	if p.Endpoint().DeviceAuthURL == "" {
		return nil, errors.New("it has no device_authorization_endpoint: allow the device flow there")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known, s.since = p, s.Now()
	return p, nil
}

// context makes the libraries use our client: it is where they look for one.
func (s *Server) context(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, s.client)
}

// config is the client of a server. The libraries would try both ways to send a secret, each time.
func (s *Server) config(p *oidc.Provider) *oauth2.Config {
	endpoint := p.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInParams
	var says struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := p.Claims(&says); s.Secret != "" && err == nil && (says.Methods == nil || slices.Contains(says.Methods, "client_secret_basic")) {
		endpoint.AuthStyle = oauth2.AuthStyleInHeader
	}
	return &oauth2.Config{ClientID: s.ClientID, ClientSecret: s.Secret, Endpoint: endpoint, Scopes: append([]string{oidc.ScopeOpenID}, s.Scopes...)}
}
