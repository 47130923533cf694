package caddy_test

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"plil.net/nuage/proxygen"
	"plil.net/nuage/proxygen/caddy"
	"plil.net/nuage/proxygen/proxygentest"
)

// started is a real Caddy.
func started(t testing.TB, builtin string) *caddy.Publisher {
	t.Helper()
	proxygentest.Tool(t, "caddy")
	dir := t.TempDir()
	proxygentest.Certificates(t, dir)
	p := caddy.New(caddy.Options{
		Log:  slog.New(slog.NewTextHandler(t.Output(), nil)),
		HTTP: proxygentest.FreePort(t), HTTPS: proxygentest.FreePort(t), Admin: proxygentest.FreePort(t), Body: proxygentest.Body, Builtin: builtin,
		Patience: proxygen.Patience{Header: proxygentest.ShortTime, Silence: proxygentest.ShortTime},
		Certificate: func(host string) (cert, key string, ok bool) {
			cert, key, ok = proxygentest.Certificate(host)
			return filepath.Join(dir, cert), filepath.Join(dir, key), ok
		},
	})
	proxygentest.Check(t, os.WriteFile(filepath.Join(dir, "caddy.json"), fmt.Appendf(nil, `{"admin": {"listen": %q}}`, p.Admin), 0o600))
	cmd := exec.Command("caddy", "run", "--config", "caddy.json")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	cmd.Stderr = t.Output()
	proxygentest.Check(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() })
	proxygentest.Listens(t, p.Admin)
	return p
}
