package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/rfc2136"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/acme"
)

// acmeConfig is the section [acme].
type acmeConfig struct {
	CA    string `toml:"ca"`
	Email string `toml:"email"`
	Root  string `toml:"root"` // PEM file that the authority's own HTTPS is trusted by
	DNS   string `toml:"dns"`  // who sets the records for wildcards; "" for nobody

	RFC2136 struct {
		Server    string `toml:"server"` // host:port
		KeyName   string `toml:"key_name"`
		KeyFile   string `toml:"key_file"` // with the secret in base64
		Algorithm string `toml:"algorithm"`
	} `toml:"rfc2136"`

	Exec struct {
		Program string `toml:"program"` // absolute path
	} `toml:"exec"`
}

// issuer is what http.cert = "acme" asks for.
func (c config) issuer(dir string, door cloud.Door, domains []string, log *slog.Logger) (*acme.Issuer, error) {
	o := acme.Options{
		Dir: dir, CA: c.ACME.CA, Email: c.ACME.Email, Domains: domains, HTTPPort: door.HTTPPort, HTTPSPort: door.HTTPSPort,
		Outside: c.HTTP.Proxy != "builtin", Log: log,
	}
	if o.CA == "" {
		o.CA = certmagic.LetsEncryptProductionCA
	}
	if c.DNS.Resolver != "" {
		o.Resolvers = []string{c.DNS.Resolver}
	}
	var err error
	if o.Roots, err = c.ACME.roots(); err != nil {
		return nil, err
	}
	if o.DNS, err = c.ACME.provider(); err != nil {
		return nil, err
	}
	return acme.New(o), nil
}

func (a acmeConfig) roots() (*x509.CertPool, error) {
	if a.Root == "" {
		return nil, nil
	}
	text, err := os.ReadFile(a.Root)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		return nil, cloud.Errorf(cloud.Invalid, "acme.root = %q holds no certificate", a.Root).WithHint("it is the PEM file of the authority's root").Because(err)
	}
	return pool, nil
}

// provider is a nil interface where acme.dns names none.
func (a acmeConfig) provider() (certmagic.DNSProvider, error) {
	switch a.DNS {
	case "":
		return nil, nil
	case "rfc2136":
		return a.updates()
	case "exec":
		return a.program()
	}
	return nil, cloud.Errorf(cloud.Invalid, "acme.dns = %q is not known", a.DNS).WithHint("it is rfc2136, exec, or empty")
}

// updates are dynamic updates of a school's own DNS (RFC 2136), signed with a key (RFC 8945).
func (a acmeConfig) updates() (certmagic.DNSProvider, error) {
	if _, _, err := net.SplitHostPort(a.RFC2136.Server); err != nil || a.RFC2136.KeyName == "" {
		return nil, cloud.Errorf(cloud.Invalid, "[acme.rfc2136] lacks server or key_name").
			WithHint(`write them like server = "192.0.2.53:53" and key_name = "nuage."`)
	}
	secret, err := os.ReadFile(a.RFC2136.KeyFile)
	if err != nil {
		return nil, cloud.Errorf(cloud.Invalid, "acme.rfc2136.key_file = %q cannot be read: %v", a.RFC2136.KeyFile, errors.Unwrap(err)).
			WithHint("it holds the secret in base64, as tsig-keygen prints it")
	}
	return &rfc2136.Provider{
		Server: a.RFC2136.Server, KeyName: a.RFC2136.KeyName, Key: strings.TrimSpace(string(secret)),
		KeyAlg: cmp.Or(a.RFC2136.Algorithm, defaults().ACME.RFC2136.Algorithm),
	}, nil
}

// program is one of the admin's.
func (a acmeConfig) program() (certmagic.DNSProvider, error) {
	path := a.Exec.Program
	file, err := os.Stat(path)
	if !filepath.IsAbs(path) || err != nil || !file.Mode().IsRegular() || file.Mode()&0o111 == 0 {
		return nil, cloud.Errorf(cloud.Invalid, "acme.exec.program = %q is not a program", path).
			WithHint("it is the absolute path of one that is called with present or cleanup, a record's name and its value").Because(err)
	}
	return acme.Program{Path: path}, nil
}

// issued are the certificates of an issuer. Where a proxy outside has to hear of each new one, it is told the routes again.
func issued(issuer *acme.Issuer, log *slog.Logger) certificates {
	var cl *cloud.Cloud
	changed := make(chan struct{}, 1)
	issuer.Changed = func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	publish := func(ctx context.Context) {
		for {
			select {
			case <-changed:
				if err := cl.Publish(ctx); err != nil && ctx.Err() == nil {
					log.Error("the new certificate is not served yet", "err", err) // Reconcile tries again
				}
			case <-ctx.Done():
				return
			}
		}
	}
	return certificates{
		served: issuer, told: issuer, challenge: issuer.Challenge, files: issuer.Files,
		join: func(c *cloud.Cloud) { cl, issuer.Allowed = c, c.MayHaveCertificate },
		run: func(ctx context.Context) {
			var both sync.WaitGroup
			both.Go(func() { issuer.Run(ctx) })
			both.Go(func() { publish(ctx) })
			both.Wait()
		},
	}
}

// domainsOf are all domains that sites are named under.
func domainsOf(usual string, groups []cloud.Group) []string {
	all := []string{usual}
	for _, g := range groups {
		all = append(all, g.Domains...)
	}
	return all
}
