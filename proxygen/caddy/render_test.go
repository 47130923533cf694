package caddy_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"plil.net/nuage/proxygen/caddy"
	"plil.net/nuage/proxygen/proxygentest"
)

var update = flag.Bool("update", false, "write the golden files")

// TestGolden: routes in, the config out, as it is kept and as the real Caddy takes it.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]caddy.Options{
		"both":  {HTTP: ":8080", HTTPS: ":8443", Hits: "/dev/null"},
		"plain": {HTTP: "127.0.0.1:8080"},
		"tls":   {HTTPS: "[::1]:8443"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.Body, o.Builtin, o.Certificate, o.Admin = 2<<30, "127.0.0.1:8019", proxygentest.Certificate, "localhost:2019"
			text := o.Render(proxygentest.Routes(t))
			proxygentest.Golden(t, name+".json", text, *update)
			proxygentest.Tool(t, "caddy")
			dir := t.TempDir()
			proxygentest.Certificates(t, dir)
			proxygentest.Check(t, os.WriteFile(filepath.Join(dir, "caddy.json"), text, 0o644))
			proxygentest.Run(t, dir, "caddy", "validate", "--config", "caddy.json")
		})
	}
}
