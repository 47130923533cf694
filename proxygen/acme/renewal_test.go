package acme_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/acme"
	"plil.net/nuage/proxygen/builtin"
	"plil.net/nuage/proxygen/caddy"
	"plil.net/nuage/proxygen/nginx"
	"plil.net/nuage/proxygen/proxygentest"
)

// TestRenewalIsServed by each proxy: visitors who ask all the time lose no request while the certificate is renewed again and
// again, and the authority's questions are not for the container.
func TestRenewalIsServed(t *testing.T) {
	t.Parallel()
	for name, outside := range map[string]func(*world, *acme.Issuer, string) cloud.Publisher{"builtin": nil, "nginx": nginxOf, "caddy": caddyOf} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if outside != nil {
				proxygentest.Tool(t, name)
			}
			w := newWorld(t, time.Hour)
			w.options.RenewAt, w.options.Outside = 0.999, outside != nil // at once, each second
			host := name + ".example.org"
			check(t, w.dns.Add(host+". 60 IN A 127.0.0.1"))
			changes := w.front(host, outside)
			w.visit(host, name == "caddy", changes)
		})
	}
}

// front serves a site by a proxy at the world's addresses, and counts the changes of that.
func (w *world) front(host string, outside func(*world, *acme.Issuer, string) cloud.Publisher) (changes *atomic.Int64) {
	w.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, ".well-known") {
			w.Errorf("the container is asked for %s", r.URL.Path)
		}
		fmt.Fprint(rw, "hello")
	}))
	w.Cleanup(site.Close)
	at := netip.MustParseAddrPort(site.Listener.Addr().String())
	sites := proxygentest.Sites{"1": at}
	i := acme.New(w.options)
	i.Allowed = func(name string) bool { return name == host }
	changed := make(chan struct{}, 1)
	i.Changed = func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	proxy := builtin.New(builtin.Options{Sites: sites, Certificates: i, Challenge: i.Challenge, Behind: outside != nil})
	routes := []cloud.Route{sites.Steady(host, "1")}
	check(w.T, proxy.Publish(w.Context(), routes))
	changes = new(atomic.Int64)
	var front cloud.Publisher
	if outside != nil {
		behind := httptest.NewServer(proxy.Handler())
		w.Cleanup(behind.Close)
		check(w.T, errors.Join(w.plain.Close(), w.secure.Close()))
		front = outside(w, i, behind.Listener.Addr().String())
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	w.Cleanup(func() { cancel(); running.Wait() })
	running.Go(func() { i.Run(ctx) })
	if outside == nil {
		running.Go(func() { _ = proxy.Serve(ctx, w.plain, w.secure) })
		return changes
	}
	running.Go(func() {
		for {
			select {
			case <-changed:
				changes.Add(1)
				if err := front.Publish(context.WithoutCancel(ctx), routes); err != nil {
					w.Errorf("a new certificate is not taken: %v", err)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	w.eventually("the first certificate", func() bool { _, _, ok := i.Files(host); return ok })
	check(w.T, front.Publish(w.Context(), routes)) // from here on there is no excuse
	return changes
}

func nginxOf(w *world, i *acme.Issuer, behind string) cloud.Publisher {
	dir := w.TempDir()
	p := nginx.New(nginx.Options{
		HTTP: w.plain.Addr().String(), HTTPS: w.secure.Addr().String(), Body: 1 << 20, Builtin: behind, Certificate: i.Files,
		Program: "nginx", Config: filepath.Join(dir, "nginx.conf"), File: filepath.Join(dir, "nuage.conf"), Log: w.options.Log,
	})
	proxygentest.StartNginx(w, dir, p.HTTP, p.Render(nil))
	return p
}

func caddyOf(w *world, i *acme.Issuer, behind string) cloud.Publisher {
	p := caddy.New(caddy.Options{
		HTTP: w.plain.Addr().String(), HTTPS: w.secure.Addr().String(), Body: 1 << 20, Builtin: behind, Certificate: i.Files,
		Admin: proxygentest.FreePort(w), Log: w.options.Log,
	})
	proxygentest.StartCaddy(w, w.TempDir(), p.Admin)
	return p
}

// visit asks for a host, from its first certificate on, until it was seen with three. A Caddy listens anew at each change and
// closes where it listened, so that the kernel resets who had just come there (unless net.ipv4.tcp_migrate_req is set): of
// those who come anew for each request, each once.
func (w *world) visit(host string, mayReset bool, changes *atomic.Int64) {
	w.Helper()
	root, err := w.authority.Issued(w.Context())
	check(w.T, err)
	w.eventually("the first certificate", func() bool {
		_, err := w.ask(root, host, false)
		return err == nil
	})
	ctx, cancel := context.WithTimeout(w.Context(), 3*time.Minute) // until then one gives up
	defer cancel()
	var (
		visitors sync.WaitGroup
		mu       sync.Mutex
		asked    int
		seen     = map[string]bool{}
		resets   atomic.Int64
	)
	for n := range 4 {
		visitors.Go(func() {
			keep := n%2 == 0 // one connection for all that it can be had for, or one each
			client := w.visitor(root, keep)
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				cert, err := askBy(client, host)
				if errors.Is(err, syscall.ECONNRESET) && mayReset && !keep {
					resets.Add(1)
					continue
				}
				if err != nil {
					w.Errorf("a request is lost, over a connection that is kept: %v: %v", keep, err)
					cancel()
					return
				}
				mu.Lock()
				asked++
				if seen[cert.SerialNumber.String()] = true; len(seen) == 3 {
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	visitors.Wait()
	if len(seen) < 3 && !w.Failed() {
		w.Errorf("%d requests were shown only %d certificates", asked, len(seen))
	}
	if n := resets.Load(); n > 2*changes.Load() {
		w.Errorf("%d connections were reset, by two visitors, in %d changes", n, changes.Load())
	}
	w.Logf("%d requests, %d connections reset in %d changes", asked, resets.Load(), changes.Load())
}

func (w *world) ask(root []byte, host string, keep bool) (*x509.Certificate, error) {
	client := w.visitor(root, keep)
	defer client.CloseIdleConnections()
	return askBy(client, host)
}

func (w *world) visitor(root []byte, keep bool) *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: !keep,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", w.secure.Addr().String())
		},
	}}
}

// askBy returns the certificate that the answer came with.
func askBy(client *http.Client, host string) (*x509.Certificate, error) {
	res, err := client.Get("https://" + host + "/")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || string(body) != "hello") {
		err = fmt.Errorf("%d %q", res.StatusCode, body)
	}
	return res.TLS.PeerCertificates[0], err
}
