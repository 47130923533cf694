// Package logintest is a school's login server for tests: the OpenID provider of zitadel/oidc, which is certified, with
// people of the test's own, over HTTPS on this host; and a browser to log in with. It is part of no program.
package logintest

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// ClientID is what the provider calls nuage.
const ClientID = "nuage"

// Options of a Provider; the zero value is one that works.
type Options struct {
	Secret    string        // "": nuage is a public client
	CodeLife  time.Duration // 5 min
	TokenLife time.Duration // of ID tokens; 1 h
	Lean      bool          // ID tokens have no claims but sub: the rest is at the userinfo endpoint
	Says      string        // what it calls itself; its address if empty
}

// Provider is a running login server.
type Provider struct {
	options Options
	Issuer  string // its address, which is its name unless Options say another
	server  *httptest.Server
	store   *people

	mu        sync.Mutex
	intercept func(http.ResponseWriter, *http.Request) bool
}

// New starts a provider; Close ends it.
func New(o Options) (*Provider, error) {
	if o.CodeLife == 0 {
		o.CodeLife = 5 * time.Minute
	}
	if o.TokenLife == 0 {
		o.TokenLife = time.Hour
	}
	p := &Provider{options: o, server: httptest.NewUnstartedServer(nil)}
	p.Issuer = "https://" + p.server.Listener.Addr().String()
	p.store = newPeople(o)
	issuer := p.Issuer
	if o.Says != "" {
		issuer = o.Says
	}
	config := &op.Config{
		AuthMethodPost: true,
		DeviceAuthorization: op.DeviceAuthorizationConfig{
			Lifetime: o.CodeLife, PollInterval: time.Second, UserFormPath: "/device", UserCode: op.UserCodeBase20,
		},
	}
	_, _ = rand.Read(config.CryptoKey[:])
	provider, err := op.NewProvider(config, p.store, op.StaticIssuer(issuer), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", provider)
	mux.HandleFunc("/device", p.page)
	p.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		intercept := p.intercept
		p.mu.Unlock()
		if intercept == nil || !intercept(w, r) {
			mux.ServeHTTP(w, r)
		}
	})
	p.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	p.server.StartTLS()
	return p, nil
}

// Close ends the provider and its connections.
func (p *Provider) Close() {
	p.server.CloseClientConnections()
	p.server.Close()
}

// CA is what a client has to trust, PEM.
func (p *Provider) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
}

// Knows lets a person log in, by a name that the test chooses.
func (p *Provider) Knows(name, subject string, claims map[string]any) {
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	p.store.known[name] = person{subject, claims}
}

// Intercept has a function look at each request first; true: it has answered. nil ends that.
func (p *Provider) Intercept(fn func(http.ResponseWriter, *http.Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.intercept = fn
}

// Away cuts every connection without an answer.
func Away(w http.ResponseWriter, _ *http.Request) bool { panic(http.ErrAbortHandler) }

// page is what a browser sees: a form, and what came of it.
func (p *Provider) page(w http.ResponseWriter, r *http.Request) {
	code := r.FormValue("user_code")
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, "<form method=post><input name=user_code value="+code+"><input name=name><button name=action value=allow></form>")
		return
	}
	if err := p.store.decide(r.Context(), code, r.FormValue("name"), r.FormValue("action") == "allow"); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

// people is the provider's storage: the example's, with people of the test's own and codes that work once.
type people struct {
	*storage.Storage
	options Options

	mu    sync.Mutex
	known map[string]person // by the name they log in with
	used  map[string]bool   // device codes
}

type person struct {
	subject string
	claims  map[string]any
}

func newPeople(o Options) *people {
	p := &people{options: o, known: map[string]person{}, used: map[string]bool{}}
	p.Storage = storage.NewStorageWithClients(p, map[string]*storage.Client{ClientID: storage.DeviceClient(ClientID, o.Secret)})
	return p
}

// client is nuage, as the provider knows it.
type client struct {
	op.Client
	options Options
}

func (c client) IDTokenLifetime() time.Duration       { return c.options.TokenLife }
func (c client) IDTokenUserinfoClaimsAssertion() bool { return !c.options.Lean }
func (c client) IsScopeAllowed(string) bool           { return true }

func (c client) ApplicationType() op.ApplicationType {
	if c.options.Secret == "" {
		return op.ApplicationTypeNative
	}
	return op.ApplicationTypeWeb
}

func (c client) AuthMethod() oidc.AuthMethod {
	if c.options.Secret == "" {
		return oidc.AuthMethodNone
	}
	return oidc.AuthMethodBasic
}

func (p *people) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	known, err := p.Storage.GetClientByClientID(ctx, id)
	return client{known, p.options}, err
}

// GetDeviceAuthorizatonState gives a code that is done out once.
func (p *people) GetDeviceAuthorizatonState(ctx context.Context, id, code string) (*op.DeviceAuthorizationState, error) {
	state, err := p.Storage.GetDeviceAuthorizatonState(ctx, id, code)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case p.used[code]:
		return nil, errors.New("the code was used")
	}
	p.used[code] = state.Done
	return state, nil
}

func (p *people) decide(ctx context.Context, code, name string, allow bool) error {
	p.mu.Lock()
	who, ok := p.known[name]
	p.mu.Unlock()
	switch _, err := p.GetDeviceAuthorizationByUserCode(ctx, code); {
	case err != nil:
		return err
	case !allow:
		return p.DenyDeviceAuthorization(ctx, code)
	case !ok:
		return errors.New("nobody has that name")
	}
	return p.CompleteDeviceAuthorization(ctx, code, who.subject)
}

func (p *people) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, token op.IDTokenRequest, _ []string) error {
	if p.options.Lean {
		info.Subject = token.GetSubject()
		return nil
	}
	return p.fill(info, token.GetSubject())
}

func (p *people) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, _, subject, _ string) error {
	return p.fill(info, subject)
}

func (p *people) fill(info *oidc.UserInfo, subject string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	info.Subject = subject
	for _, who := range p.known {
		if who.subject == subject {
			for name, value := range who.claims {
				info.AppendClaims(name, value)
			}
		}
	}
	return nil
}

// The example's storage asks for people that it knows; it knows ours by their subject.
func (p *people) GetUserByID(id string) *storage.User         { return &storage.User{ID: id} }
func (p *people) GetUserByUsername(name string) *storage.User { return &storage.User{ID: name} }
func (p *people) ExampleClientID() string                     { return "none" }
