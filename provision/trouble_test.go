package provision_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/moby/moby/client"

	"plil.net/nuage/provision"
	"plil.net/nuage/provision/provisiontest"
)

// refusing is a way to the daemon on which as many starts of a container are refused as it counts.
func refusing(t *testing.T, starts *atomic.Int32) (host string) {
	return between(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if starts.Add(-1) < 0 {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(`{"message":"a bad day"}`))
	})
}

// between is a way to the daemon on which starts of a container go through start.
func between(t *testing.T, start func(w http.ResponseWriter, r *http.Request, next http.Handler)) (host string) {
	t.Helper()
	socket := strings.TrimPrefix(client.DefaultDockerHost, "unix://")
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
	proxy.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	path := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/start") {
			proxy.ServeHTTP(w, r)
			return
		}
		start(w, r, proxy)
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return "unix://" + path
}

// TestRefusedOnce: whoever waits for a site does not hear of what the engine does the second time.
func TestRefusedOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	var starts atomic.Int32
	d := l.engine(t, provision.DockerOptions{Data: l.data, Host: refusing(t, &starts)})
	s := l.spec(t, "refused.plil.net")
	provisiontest.Write(t, s, "www/index.html", s.Name)
	for range 2 { // one that has no container, and one that has
		starts.Store(1)
		if err := d.Up(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		shows(t, s)
		if err := d.Down(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
	}
	starts.Store(100)
	wantUnavailable(t, d.Up(t.Context(), s), "a bad day")
	if left := 100 - starts.Load(); left != 2 {
		t.Errorf("the engine was asked %d times", left)
	}
}

// TestKilledAtItsStart: what an admin's "docker restart" meets in the middle of a start comes up all the same.
func TestKilledAtItsStart(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := l.spec(t, "killed.plil.net")
	provisiontest.Write(t, s, "www/index.html", s.Name)
	var starts atomic.Int32
	d := l.engine(t, provision.DockerOptions{Data: l.data, Host: between(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r)
		if starts.Add(1) == 1 {
			_, _ = l.api.ContainerKill(r.Context(), "nuage-"+s.ID, client.ContainerKillOptions{Signal: "KILL"})
		}
	})})
	if err := d.Up(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	shows(t, s)
	if n := starts.Load(); n != 2 {
		t.Errorf("started %d times", n)
	}
}
