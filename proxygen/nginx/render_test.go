package nginx_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"plil.net/nuage/proxygen/nginx"
	"plil.net/nuage/proxygen/proxygentest"
)

var update = flag.Bool("update", false, "write the golden files")

// TestGolden: routes in, the file out, as it is kept and as the real nginx takes it.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]nginx.Options{
		"both":  {HTTP: ":8080", HTTPS: ":8443", Hits: "/dev/null"},
		"plain": {HTTP: "127.0.0.1:8080"},
		"tls":   {HTTPS: "[::1]:8443"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.Body, o.Builtin, o.Certificate = 2<<30, "127.0.0.1:8019", proxygentest.Certificate
			text := o.Render(proxygentest.Routes(t))
			proxygentest.Golden(t, name+".conf", text, *update)
			proxygentest.Tool(t, "nginx")
			dir := t.TempDir()
			proxygentest.Certificates(t, dir)
			proxygentest.Check(t, os.WriteFile(filepath.Join(dir, "nuage.conf"), text, 0o644))
			proxygentest.Check(t, os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte("pid pid;\nerror_log stderr;\nevents {}\nhttp { access_log off; include nuage.conf; }\n"), 0o644))
			proxygentest.Run(t, dir, "nginx", "-t", "-q", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
		})
	}
}
