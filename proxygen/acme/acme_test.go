package acme_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libdns/rfc2136"

	"plil.net/nuage/cloud/dnstest"
	"plil.net/nuage/proxygen/acme"
	"plil.net/nuage/proxygen/acme/pebbletest"
	"plil.net/nuage/proxygen/proxygentest"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is an authority, a DNS server that it and the issuer ask, and a web server that answers by the issuer.
type world struct {
	*testing.T
	dns       *dnstest.Server
	authority *pebbletest.Server
	options   acme.Options
	plain     net.Listener
	secure    net.Listener
}

func newWorld(t *testing.T, life time.Duration) *world {
	t.Helper()
	program, err := pebbletest.Build()
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("NUAGE_MUST"), ","), "pebble") {
			t.Fatalf("pebble, which NUAGE_MUST promises: %v", err)
		}
		t.Skip(err)
	}
	w := &world{T: t}
	w.dns, err = dnstest.New()
	check(t, err)
	t.Cleanup(w.dns.Close)
	w.plain, w.secure = w.listen(), w.listen()
	httpPort, tlsPort := w.plain.Addr().(*net.TCPAddr).Port, w.secure.Addr().(*net.TCPAddr).Port
	w.authority, err = pebbletest.Start(program, t.TempDir(), w.dns.Addr, httpPort, tlsPort, life)
	check(t, err)
	t.Cleanup(w.authority.Stop)
	root, err := os.ReadFile(w.authority.Root)
	check(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	w.options = acme.Options{
		Dir: t.TempDir(), CA: w.authority.Directory, Roots: roots, Resolvers: []string{w.dns.Addr}, HTTPPort: httpPort, HTTPSPort: tlsPort,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), RenewEvery: time.Second,
	}
	return w
}

func (w *world) listen() net.Listener {
	w.Helper()
	l := proxygentest.Listen(w) // where another program may listen later
	w.Cleanup(func() { l.Close() })
	return l
}

// provider sets records as a school's own DNS lets it.
func (w *world) provider() *rfc2136.Provider {
	return &rfc2136.Provider{Server: w.dns.Addr, KeyName: dnstest.KeyName, KeyAlg: "hmac-sha256", Key: dnstest.KeySecret}
}

// serve lets an issuer answer challenges and handshakes; it allows the hosts.
func (w *world) serve(allowed ...string) *acme.Issuer {
	w.Helper()
	i := acme.New(w.options)
	i.Allowed = func(host string) bool { return slices.Contains(allowed, host) }
	plain := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.options.HTTPPort == 0 || !i.Challenge(rw, r) {
			http.NotFound(rw, r)
		}
	})}
	secure := &http.Server{TLSConfig: &tls.Config{GetCertificate: i.GetCertificate, NextProtos: []string{"http/1.1", "acme-tls/1"}},
		ErrorLog: slog.NewLogLogger(w.options.Log.Handler(), slog.LevelDebug)}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { i.Run(ctx) })
	running.Go(func() { _ = plain.Serve(w.plain) })
	running.Go(func() { _ = secure.ServeTLS(w.secure, "", "") })
	w.Cleanup(func() { cancel(); plain.Close(); secure.Close(); running.Wait() })
	return i
}

// shown is the certificate that a client is shown for a host and trusts by the authority's root.
func (w *world) shown(host string) (*x509.Certificate, error) {
	root, err := w.authority.Issued(w.Context())
	if err != nil {
		return nil, err
	}
	return w.shownBy(root, host)
}

func (w *world) shownBy(root []byte, host string) (*x509.Certificate, error) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	dialer := &net.Dialer{Timeout: 60 * time.Second}
	c, err := tls.DialWithDialer(dialer, "tcp", w.secure.Addr().String(), &tls.Config{ServerName: host, RootCAs: pool})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0], nil
}

func (w *world) eventually(what string, ok func() bool) {
	w.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	w.Fatalf("%s: not in time", what)
}

// TestOnDemand: a host that is allowed gets its certificate when it is first asked for, by either challenge.
func TestOnDemand(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*acme.Options){
		"HTTP-01":     func(o *acme.Options) { o.HTTPSPort = 0 },
		"TLS-ALPN-01": func(o *acme.Options) { o.HTTPPort = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, time.Hour)
			change(&w.options)
			host := strings.ToLower(name) + ".example.org" // certmagic gets one certificate of a name at a time in a process
			check(t, w.dns.Add(host+". 60 IN A 127.0.0.1"))
			i := w.serve(host)
			cert, err := w.shown(host)
			check(t, err)
			if err := cert.VerifyHostname(host); err != nil {
				t.Error(err)
			}
			if _, err := w.shown("other.example.org"); err == nil {
				t.Error("a host that is not allowed has a certificate")
			}
			if all := i.Problems(); len(all) != 0 {
				t.Errorf("problems: %q", all)
			}
		})
	}
}

// TestWildcard: one certificate for all names of a domain, by records that the school's DNS takes.
func TestWildcard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour)
	zone := fmt.Sprintf("wild%d.test", time.Now().UnixNano()) // certmagic keeps what it knows of zones for the whole process
	check(t, w.dns.Add(zone+". 60 IN SOA ns."+zone+". admin."+zone+". 1 60 60 60 60"))
	w.options.Domains, w.options.DNS = []string{zone}, w.provider()
	i := w.serve()
	var cert *x509.Certificate
	w.eventually("the wildcard", func() (ok bool) {
		var err error
		cert, err = w.shown("blog." + zone)
		return err == nil
	})
	if got := strings.Join(cert.DNSNames, " "); got != "*."+zone {
		t.Errorf("it names %s", got)
	}
	if again, err := w.shown("shop." + zone); err != nil || !again.Equal(cert) {
		t.Errorf("another certificate for another site: %v", err)
	}
	if all := i.Problems(); len(all) != 0 {
		t.Errorf("problems: %q", all)
	}
}

// TestFailuresAreTold in the authority's words, and the host is not tried again at once.
func TestFailuresAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour)
	i := w.serve("www.example.org") // which has no address
	if _, err := w.shown("www.example.org"); err == nil {
		t.Fatal("it has a certificate")
	}
	w.eventually("the problem", func() bool { return i.Problem("www.example.org") != "" })
	why := i.Problem("www.example.org")
	if !strings.Contains(why, "no certificate yet, failing since") || !strings.Contains(why, "the authority says") {
		t.Errorf("problem %q", why)
	}
	check(t, w.dns.Add("www.example.org. 60 IN A 127.0.0.1"))
	if _, err := w.shown("www.example.org"); err == nil {
		t.Error("it was tried again at once, which uses up what an authority allows")
	}
}

// TestAuthorityAway: what there is stays, is renewed once the authority is back, and people are told meanwhile.
func TestAuthorityAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour)
	w.options.RenewAt = 0.999 // at once
	zone := fmt.Sprintf("away%d.test", time.Now().UnixNano())
	check(t, w.dns.Add(zone+". 60 IN SOA ns."+zone+". admin."+zone+". 1 60 60 60 60"))
	w.options.Domains, w.options.DNS = []string{zone}, w.provider()
	i := w.serve()
	var first *x509.Certificate
	w.eventually("the wildcard", func() (ok bool) {
		var err error
		first, err = w.shown("blog." + zone)
		return err == nil
	})
	root, err := w.authority.Issued(t.Context())
	check(t, err)
	w.eventually("a renewal", func() bool {
		cert, err := w.shownBy(root, "blog."+zone)
		return err == nil && !cert.Equal(first)
	})
	w.authority.Stop()
	w.eventually("the problem", func() bool { return strings.Contains(i.Problem("blog."+zone), "not renewed, failing since") })
	if why := i.Problem("blog." + zone); !strings.Contains(why, "the old one is good until") {
		t.Errorf("problem %q", why)
	}
	if _, err := w.shownBy(root, "shop."+zone); err != nil {
		t.Errorf("the old certificate is gone: %v", err)
	}
}
