package proxygentest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// StartNginx runs an nginx by dir/nginx.conf, which includes dir/nuage.conf with a first text, until the test ends. Before ours
// is a map of somebody else's. It returns once nginx listens.
func StartNginx(t testing.TB, dir, listens string, first []byte) {
	t.Helper()
	Tool(t, "nginx")
	main := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf("daemon off;\npid %[1]s/pid;\nerror_log %[1]s/error.log;\nevents {}\nhttp {\naccess_log off;\nmap $host $own { default 1; }\ninclude %[1]s/nuage*.conf;\n}\n", dir)
	Check(t, os.WriteFile(main, []byte(text), 0o644))
	Check(t, os.WriteFile(filepath.Join(dir, "nuage.conf"), first, 0o644))
	start(t, exec.Command("nginx", "-p", dir, "-c", main))
	Listens(t, listens)
}

// StartCaddy runs a Caddy that has nothing but its admin API, with its files in dir, until the test ends. It returns once
// Caddy listens.
func StartCaddy(t testing.TB, dir, admin string) {
	t.Helper()
	Tool(t, "caddy")
	Check(t, os.WriteFile(filepath.Join(dir, "caddy.json"), fmt.Appendf(nil, `{"admin": {"listen": %q}}`, admin), 0o600))
	cmd := exec.Command("caddy", "run", "--config", "caddy.json")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	start(t, cmd)
	Listens(t, admin)
}

func start(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stderr = t.Output()
	Check(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() })
}
