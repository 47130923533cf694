package provision_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/provision/provisiontest"
)

// TestRest leaves a site alone until its PHP has ended, and then wants it back as it was, for visitors who come at once.
func TestRest(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := l.spec(t, "rest.plil.net")
	s.Root = "www/public"
	provisiontest.Write(t, s, "www/public/see.php", `<?php usleep(300000); echo $_SERVER["REMOTE_ADDR"], " ", ini_get("precision"), " ", getenv("NUAGE_NAME");`)
	provisiontest.Write(t, s, "www/public/.htaccess", "php_value precision 7\n")
	l.up(t, s)
	visit := func() (string, error) {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://%s:8080/see.php", s.Address), nil)
		r.Header.Set("X-Forwarded-For", "192.0.2.7")
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	const want = "192.0.2.7 7 rest.plil.net"
	if got, err := visit(); got != want {
		t.Fatalf("before: %q, %v", got, err)
	}
	// What is running looks only every 5 seconds; what comes after it does so all the time.
	l.sh(t, s, `echo 'export NUAGE_LOOK=0.5' >>/run/nuage/env; pkill -f "^/usr/sbin/apache2 -f /etc/nuage/apache.conf"`)
	l.atRest(t, s)
	for range 2 {
		var visitors sync.WaitGroup
		for range 6 {
			visitors.Go(func() {
				if got, err := visit(); got != want {
					t.Errorf("a visitor of the site at rest: %q, %v", got, err)
				}
			})
		}
		visitors.Wait()
		l.atRest(t, s)
	}
	if got := l.sh(t, s, `ls /run/nuage; pgrep -c -f apache.conf`); strings.Contains(got, ".new") || strings.Contains(got, "listens") {
		t.Errorf("left behind: %q", got)
	}
}

// atRest waits until the site runs no PHP.
func (l *lab) atRest(t *testing.T, s cloud.Spec) {
	t.Helper()
	var left string
	for end := time.Now().Add(provisiontest.Patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if left = l.sh(t, s, `pgrep -a -f "^/usr/sbin/apache2 -f /etc/nuage/apache.conf|nuage/php$" || echo none`); left == "none" {
			return
		}
	}
	t.Fatalf("PHP still runs: %s", left)
}
