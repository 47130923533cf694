package nginx_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"plil.net/nuage/proxygen/builtin"
	"plil.net/nuage/proxygen/proxygentest"
)

// front is the real nginx before a built-in proxy.
func front(t testing.TB, sites proxygentest.Sites, patience time.Duration) proxygentest.Front {
	t.Helper()
	behind := builtin.New(builtin.Options{Sites: sites, Behind: true})
	server := httptest.NewServer(behind.Handler())
	t.Cleanup(server.Close)
	p := started(t, server.Listener.Addr().String(), patience)
	return proxygentest.Front{Outside: p, Behind: behind, HTTP: p.HTTP, HTTPS: p.HTTPS}
}

func TestFront(t *testing.T) { t.Parallel(); proxygentest.Suite(t, front) }
