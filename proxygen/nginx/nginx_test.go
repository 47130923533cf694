package nginx_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen"
	"plil.net/nuage/proxygen/nginx"
	"plil.net/nuage/proxygen/proxygentest"
)

// started is a real nginx whose only sites are the publisher's, with a map of somebody else's before them.
func started(t testing.TB, builtin string, patience time.Duration) *nginx.Publisher {
	t.Helper()
	proxygentest.Tool(t, "nginx")
	dir, at := t.TempDir(), proxygentest.FreePort(t)
	proxygentest.Certificates(t, dir)
	p := nginx.New(nginx.Options{
		HTTP: at, HTTPS: proxygentest.FreePort(t), Body: proxygentest.Body, Builtin: builtin, Patience: proxygen.Patience{Header: patience, Silence: patience},
		Program: "nginx", Config: filepath.Join(dir, "nginx.conf"), File: filepath.Join(dir, "nuage.conf"),
		Certificate: func(host string) (cert, key string, ok bool) {
			cert, key, ok = proxygentest.Certificate(host)
			return filepath.Join(dir, cert), filepath.Join(dir, key), ok
		},
	})
	proxygentest.StartNginx(t, dir, at, p.Render(nil))
	return p
}

// TestReloads: changes come at most once a second, what has not changed costs nothing, and no request is lost.
func TestReloads(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
	t.Cleanup(backend.Close)
	p := started(t, backend.Listener.Addr().String(), proxygentest.LongTime)

	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for ctx.Err() == nil {
				res, err := http.Get("http://" + p.HTTP + "/")
				if err != nil {
					t.Errorf("lost: %v", err)
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || string(body) != "hello" {
					t.Errorf("status %d, body %q, %v", res.StatusCode, body, err)
					return
				}
			}
		})
	}
	defer asking.Wait()
	defer cancel()
	began := time.Now()
	target := netip.MustParseAddrPort(backend.Listener.Addr().String())
	var routes []cloud.Route
	for i := range 3 {
		routes = append(routes, cloud.Route{Host: fmt.Sprintf("s%d.plil.net", i), Type: cloud.PHP, State: cloud.Running, Target: target, Steady: true})
		proxygentest.Check(t, p.Publish(t.Context(), routes))
	}
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("3 changes took %s, so nginx was reloaded more than once a second", took)
	}
	before, err := os.Stat(p.File)
	proxygentest.Check(t, err)
	proxygentest.Check(t, p.Publish(t.Context(), routes))
	after, err := os.Stat(p.File)
	proxygentest.Check(t, err)
	if !os.SameFile(before, after) {
		t.Error("the file was written though nothing changed")
	}
}

// TestAwayNginx: who asks for a change is told, and the next try works.
func TestAwayNginx(t *testing.T) {
	t.Parallel()
	proxygentest.Tool(t, "nginx")
	dir := t.TempDir()
	main := filepath.Join(dir, "nginx.conf")
	proxygentest.Check(t, os.WriteFile(main, fmt.Appendf(nil, "pid %[1]s/pid;\nerror_log stderr;\nevents {}\nhttp { include %[1]s/nuage*.conf; }\n", dir), 0o644))
	p := nginx.New(nginx.Options{HTTP: proxygentest.FreePort(t), Body: 1 << 20, Builtin: "127.0.0.1:9", Certificate: proxygentest.Certificate, Program: "nginx", Config: main, File: filepath.Join(dir, "nuage.conf")})
	if err := p.Publish(t.Context(), nil); cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("no nginx runs: %v", err)
	}
	p.Program = filepath.Join(dir, "nothing")
	if err := p.Publish(t.Context(), nil); cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("no nginx is there: %v", err)
	}
}

// TestManyAtOnce: a class that makes sites at once costs a few reloads, and each is told once its own is served.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "container") }))
	t.Cleanup(backend.Close)
	builtin := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(builtin.Close)
	p := started(t, builtin.Listener.Addr().String(), proxygentest.LongTime)
	target := netip.MustParseAddrPort(backend.Listener.Addr().String())
	var routes []cloud.Route
	began := time.Now()
	var all sync.WaitGroup
	// A connection that an old worker has taken, and nobody has used yet, would be served as before.
	visitor := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	const n = 60
	for i := range n {
		host := fmt.Sprintf("s%02d.plil.net", i)
		routes = append(slices.Clone(routes), cloud.Route{Host: host, Type: cloud.PHP, State: cloud.Running, Target: target, Steady: true})
		served := p.Offer(routes)
		all.Go(func() {
			if err := served(t.Context()); err != nil {
				t.Error(err)
				return
			}
			r, err := http.NewRequest(http.MethodGet, "http://"+p.HTTP+"/", nil)
			proxygentest.Check(t, err)
			r.Host = host
			res, err := visitor.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if body, err := io.ReadAll(res.Body); string(body) != "container" {
				t.Errorf("%s is told to be served and answers %d %q, %v", host, res.StatusCode, body, err)
			}
		})
	}
	all.Wait()
	t.Logf("%d changes at once took %s", n, time.Since(began))
	if limit := n * time.Second / 2; time.Since(began) > limit {
		t.Errorf("%d changes at once took more than %s: each has a reload of its own", n, limit)
	}
}

// TestThousand names, with long ones, in one file that nginx takes.
func TestThousand(t *testing.T) {
	t.Parallel()
	proxygentest.Tool(t, "nginx")
	dir := t.TempDir()
	proxygentest.Certificates(t, dir)
	o := nginx.Options{HTTP: ":8080", HTTPS: ":8443", Body: 1 << 20, Builtin: "127.0.0.1:9", Certificate: proxygentest.Certificate}
	var routes []cloud.Route
	for i := range 1000 {
		host := fmt.Sprintf("%s%d.plil.net", strings.Repeat("long-label", i%6), i)
		routes = append(routes, cloud.Route{Host: host, Type: cloud.PHP, State: cloud.Running, Target: netip.MustParseAddrPort("10.64.0.9:8080"), Steady: true})
	}
	main := filepath.Join(dir, "nginx.conf")
	proxygentest.Check(t, os.WriteFile(filepath.Join(dir, "nuage.conf"), o.Render(routes), 0o644))
	proxygentest.Check(t, os.WriteFile(main, []byte("pid pid;\nerror_log stderr;\nevents {}\nhttp { access_log off; include nuage.conf; }\n"), 0o644))
	for said := range strings.Lines(proxygentest.Run(t, dir, "nginx", "-t", "-p", dir, "-c", main)) {
		if strings.Contains(said, "warn") && !strings.Contains(said, "could not build optimal map_hash") { // it builds one with longer lists
			t.Errorf("nginx says %s", said)
		}
	}
}

// TestLongNameRegression: a host that is too long for nginx's tables had the whole file refused, and so everybody's changes,
// where a map of somebody else's comes before.
func TestLongNameRegression(t *testing.T) {
	t.Parallel()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "led to ", r.Host) }))
	t.Cleanup(site.Close)
	builtin := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(builtin.Close)
	p := started(t, builtin.Listener.Addr().String(), proxygentest.LongTime)
	label := strings.Repeat("a", 63)
	long := strings.Join([]string{label, label, label, "plil.net"}, ".")
	proxygentest.Check(t, p.Publish(t.Context(), []cloud.Route{
		{Host: long, Type: cloud.PHP, State: cloud.Running, Target: netip.MustParseAddrPort(site.Listener.Addr().String()), Steady: true},
	}))
	for host, want := range map[string]string{
		long: "led to " + long, "x" + long: "404 page not found\n", strings.ReplaceAll(long, ".plil", "xplil"): "404 page not found\n", long + ".net": "404 page not found\n",
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.HTTP, nil)
		proxygentest.Check(t, err)
		r.Host = host
		res, err := http.DefaultClient.Do(r)
		proxygentest.Check(t, err)
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(body) != want {
			t.Errorf("%s: %q %v", host, body, err)
		}
	}
}
