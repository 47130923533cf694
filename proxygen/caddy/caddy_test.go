package caddy_test

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"plil.net/nuage/proxygen"
	"plil.net/nuage/proxygen/caddy"
	"plil.net/nuage/proxygen/proxygentest"
)

// started is a real Caddy.
func started(t testing.TB, builtin string, patience time.Duration) *caddy.Publisher {
	t.Helper()
	proxygentest.Tool(t, "caddy")
	dir := t.TempDir()
	proxygentest.Certificates(t, dir)
	p := caddy.New(caddy.Options{
		Log:  slog.New(slog.NewTextHandler(t.Output(), nil)),
		HTTP: proxygentest.FreePort(t), HTTPS: proxygentest.FreePort(t), Admin: proxygentest.FreePort(t), Body: proxygentest.Body, Builtin: builtin,
		Patience: proxygen.Patience{Header: patience, Silence: patience},
		Certificate: func(host string) (cert, key string, ok bool) {
			cert, key, ok = proxygentest.Certificate(host)
			return filepath.Join(dir, cert), filepath.Join(dir, key), ok
		},
	})
	proxygentest.StartCaddy(t, dir, p.Admin)
	return p
}
