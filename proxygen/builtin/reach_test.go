package builtin_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestDialsTwice: what nobody has taken may be sent again, whatever it is; what somebody has taken may not.
func TestDialsTwice(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first  error
		dials  int32
		status int
	}{
		"refused":     {syscall.ECONNREFUSED, 2, 200},
		"unreachable": {syscall.EHOSTUNREACH, 2, 200},
		"other":       {syscall.EMFILE, 1, 502},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.container(show)
			var dials atomic.Int32
			w.proxy.ReachBy(func(ctx context.Context, at netip.AddrPort) (net.Conn, error) {
				if dials.Add(1) == 1 {
					return nil, os.NewSyscallError("connect", c.first)
				}
				return new(net.Dialer).DialContext(ctx, "tcp", at.String())
			})
			res, err := w.client().Post("http://blog.test/", "text/plain", strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != c.status || dials.Load() != c.dials || c.status == 200 && !strings.HasSuffix(string(body), "\nbody") {
				t.Errorf("status %d after %d dials: %s", res.StatusCode, dials.Load(), body)
			}
		})
	}
}

const proxied = "NUAGE_TEST_PROXIED"

// TestNoProxyOfTheEnvironment runs itself again with a proxy in the environment, as net/http reads that
// once. The container's address is no loopback one, for which net/http would not ask a proxy anyway.
func TestNoProxyOfTheEnvironment(t *testing.T) {
	t.Parallel()
	const target = "192.0.2.1:8080" // TEST-NET-1: nobody's
	if os.Getenv(proxied) == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestNoProxyOfTheEnvironment$", "-test.v")
		c.Env = append(os.Environ(), proxied+"=1", "HTTP_PROXY=http://127.0.0.9:9", "http_proxy=http://127.0.0.9:9",
			"ALL_PROXY=http://127.0.0.9:9", "HTTPS_PROXY=http://127.0.0.9:9", "NO_PROXY=", "no_proxy=")
		if out, err := c.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("dialled "+target)) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if u, err := http.ProxyFromEnvironment(&http.Request{URL: mustURL("http://" + target)}); u == nil || err != nil {
		t.Fatalf("the environment has no proxy: %v", err)
	}
	w := newWorld(t)
	w.container(show)
	backend := w.sites.containers["s1"].String()
	w.sites.containers["s1"] = netip.MustParseAddrPort(target)
	w.proxy.DialWith(func(ctx context.Context, network, addr string) (net.Conn, error) {
		t.Logf("dialled %s", addr)
		if addr != target {
			t.Errorf("dialled %s instead of the container", addr)
		}
		return (&net.Dialer{}).DialContext(ctx, network, backend)
	})
	w.get("http://blog.test/x").want(t, 200, "GET /x\n")
}
