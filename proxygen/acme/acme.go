// Package acme gets certificates from an ACME authority (RFC 8555): one wildcard for each served domain where it can set
// DNS records, and one for each other host when it is first asked for, which is decided in this process. It keeps them in
// the data directory and renews them by itself, whether sites run or not. It answers no request but challenges.
package acme

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"plil.net/nuage/cloud"
)

const (
	handshakeTime = 90 * time.Second // for a visitor to wait for the first certificate of a host
	// retryEvery keeps visitors of a host whose certificate cannot be had from using up what the authority allows:
	// Let's Encrypt lets a host fail 5 times an hour.
	retryEvery = 15 * time.Minute
)

// Options are what an Issuer is made of.
type Options struct {
	Dir   string         // where certificates and the account are kept
	CA    string         // directory URL of the authority
	Email string         // for its letters; may be empty
	Roots *x509.CertPool // the authority's own HTTPS is trusted by; nil: the system's

	Domains   []string              // that sites are named under
	DNS       certmagic.DNSProvider // sets the records for wildcards of Domains; nil: no wildcards
	Resolvers []string              // host:port, asked whether the records are seen; the system's if empty

	HTTPPort, HTTPSPort int // where the proxy answers, for what the authority sends to 80 and 443; 0: it does not
	// Outside says that another proxy has HTTPS: certificates are got for the hosts that Files is asked for.
	Outside bool

	Log        *slog.Logger
	RenewEvery time.Duration // between two looks at what to renew; the usual 10 minutes if 0
	RenewAt    float64       // the part of its life that a certificate has left when it is renewed; a third if 0
}

// Issuer gets and keeps certificates. Allowed has to be set before the first handshake.
type Issuer struct {
	Options
	// Allowed is asked, in this process, before a certificate is got for a host.
	Allowed func(host string) bool
	// Changed, if set, is called when a file of Files is there or another. It must not block.
	Changed func()

	storage  *certmagic.FileStorage
	wants    wants
	cache    *certmagic.Cache
	wild     *certmagic.Config // wildcards, managed
	single   *certmagic.Config // hosts, when they are first asked for
	solver   *certmagic.ACMEIssuer
	mu       sync.Mutex
	problems map[string]problem // by name of the certificate
	waiting  map[*waiter]bool
}

// waiter is a handshake that may be waiting for a certificate.
type waiter struct {
	host string
	end  context.CancelFunc
}

var _ cloud.Certificates = (*Issuer)(nil)

// problem is why a certificate could not be had.
type problem struct {
	text    string
	since   time.Time
	last    time.Time
	renewal bool
}

// New makes an Issuer. It asks nobody for anything until Run, or a handshake.
func New(o Options) *Issuer {
	if o.Outside {
		o.HTTPSPort = 0 // no handshake comes to us
	}
	i := &Issuer{
		Options: o, Allowed: func(string) bool { return false }, Changed: func() {}, storage: &certmagic.FileStorage{Path: o.Dir},
		wants: newWants(), problems: map[string]problem{}, waiting: map[*waiter]bool{},
	}
	i.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(c certmagic.Certificate) (*certmagic.Config, error) {
			if len(c.Names) > 0 && strings.HasPrefix(c.Names[0], "*.") {
				return i.wild, nil
			}
			return i.single, nil
		},
		RenewCheckInterval: o.RenewEvery, Logger: zap.NewNop(),
	})
	common := certmagic.Config{
		Storage: i.storage, OnEvent: i.heard, RenewalWindowRatio: o.RenewAt, Logger: zap.NewNop(),
	}
	i.wild = certmagic.New(i.cache, common)
	dns := &certmagic.DNS01Solver{DNSManager: certmagic.DNSManager{DNSProvider: o.DNS, Resolvers: o.Resolvers, Logger: zap.NewNop()}}
	i.wild.Issuers = []certmagic.Issuer{i.issuer(i.wild, certmagic.ACMEIssuer{DNS01Solver: dns})}

	if !o.Outside {
		common.OnDemand = &certmagic.OnDemandConfig{DecisionFunc: i.decide}
	}
	i.single = certmagic.New(i.cache, common)
	i.solver = i.issuer(i.single, certmagic.ACMEIssuer{
		DisableHTTPChallenge: o.HTTPPort == 0, DisableTLSALPNChallenge: o.HTTPSPort == 0,
		AltHTTPPort: o.HTTPPort, AltTLSALPNPort: o.HTTPSPort,
	})
	i.single.Issuers = []certmagic.Issuer{i.solver}
	return i
}

func (i *Issuer) issuer(c *certmagic.Config, a certmagic.ACMEIssuer) *certmagic.ACMEIssuer {
	const nobody = " " // with none at all certmagic asks whoever sits at the terminal, and waits
	a.CA, a.TestCA, a.Email, a.Agreed, a.TrustedRoots, a.Logger = i.CA, i.CA, cmp.Or(i.Email, nobody), true, i.Roots, zap.NewNop()
	return certmagic.NewACMEIssuer(c, a)
}

// Run gets and renews the wildcards until ctx ends.
func (i *Issuer) Run(ctx context.Context) {
	defer i.cache.Stop()
	if i.DNS != nil {
		var names []string
		for _, d := range i.Domains {
			names = append(names, "*."+d)
		}
		if err := i.wild.ManageAsync(ctx, names); err != nil && ctx.Err() == nil {
			i.Log.Error("certificates not managed", "names", names, "err", err)
		}
	}
	if i.Outside {
		i.obtainAll(ctx)
	}
	<-ctx.Done()
}

// covered is the wildcard that a host has its certificate from, "" if it has one of its own.
func (i *Issuer) covered(host string) string {
	_, parent, _ := strings.Cut(host, ".")
	if i.DNS != nil && slices.Contains(i.Domains, parent) {
		return "*." + parent
	}
	return ""
}

// GetCertificate finds the certificate for hello.ServerName, or gets it. A challenge of the authority (TLS-ALPN-01, RFC
// 8737) is answered too.
func (i *Issuer) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if i.covered(hello.ServerName) != "" {
		return i.wild.GetCertificate(hello)
	}
	ctx, cancel := context.WithTimeout(hello.Context(), handshakeTime)
	defer cancel()
	defer i.await(hello.ServerName, cancel)()
	return i.single.GetCertificateWithContext(ctx, hello)
}

// await ends a handshake when the certificate of its host fails: certmagic would try again and again while it waits.
func (i *Issuer) await(host string, end context.CancelFunc) (leave func()) {
	w := &waiter{host, end}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.waiting[w] = true
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		delete(i.waiting, w)
	}
}

// Challenge answers a challenge of the authority (HTTP-01, RFC 8555 section 8.3) and reports whether it was one.
func (i *Issuer) Challenge(w http.ResponseWriter, r *http.Request) bool {
	return i.solver.HandleHTTPChallenge(w, r)
}

// decide allows what the cloud allows, and no host again that has just failed.
func (i *Issuer) decide(_ context.Context, host string) error {
	if !i.Allowed(host) {
		return fmt.Errorf("%q is no site here", host)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if p, ok := i.problems[host]; ok && !p.renewal && time.Since(p.last) < retryEvery {
		return fmt.Errorf("the certificate of %q failed %s ago", host, time.Since(p.last).Round(time.Second))
	}
	return nil
}

// heard keeps what became of each attempt.
func (i *Issuer) heard(_ context.Context, event string, data map[string]any) error {
	name, _ := data["identifier"].(string)
	if event == "cert_obtained" && i.Outside {
		i.wrote(name)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	switch event {
	case "cert_obtained":
		delete(i.problems, name)
		i.Log.Info("certificate obtained", "name", name, "renewal", data["renewal"])
	case "cert_failed":
		err, _ := data["error"].(error)
		if errors.Is(err, context.Canceled) {
			break
		}
		now := time.Now()
		p, ok := i.problems[name]
		if !ok {
			p.since = now
		}
		p.text, p.last = inWords(err), now
		p.renewal, _ = data["renewal"].(bool)
		i.problems[name] = p
		for w := range i.waiting {
			if w.host == name {
				w.end()
			}
		}
		i.Log.Error("certificate failed", "name", name, "renewal", p.renewal, "since", p.since, "err", err)
	}
	return nil
}
