package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"plil.net/nuage/cloud/dnstest"
	"plil.net/nuage/login/logintest"
)

// gatewayUnderTest is the one of a script.
type gatewayUnderTest struct {
	dir     string
	network int
	process *exec.Cmd
	log     string
	stopped chan struct{}
	relay   *engineRelay
	school  *logintest.Provider
	proxy   *logintest.Proxy
	dns     *dnstest.Server
	daemons map[string]func() // ends them
	images  []string
	right   time.Time // when the script first set the clock, by the clock as it was
}

func of(ts *testscript.TestScript) *gatewayUnderTest { return ts.Value("gateway").(*gatewayUnderTest) }

func (g *gatewayUnderTest) path(name string) string { return filepath.Join(g.dir, name) }

// networks is the beginning of the script's own; another run of the tests at once has other ones.
func (g *gatewayUnderTest) networks() string {
	third := os.Getpid()%512*32 + g.network
	return fmt.Sprintf("10.%d.%d", 128+third>>8, third&255)
}

// config is a config with a network of the script's own. Where the script has files ssh.toml and more.toml, their
// lines are in it: the first in [ssh], the second at the end.
func (g *gatewayUnderTest) config() string {
	network := g.networks()
	inSSH, _ := os.ReadFile(g.path("ssh.toml"))
	more, _ := os.ReadFile(g.path("more.toml"))
	return fmt.Sprintf("data = %q\ndomain = \"localhost\"\n[ssh]\nlisten = \"127.0.0.1:0\"\n%s\n[http]\nlisten = \"127.0.0.1:0\"\ntls = \"127.0.0.1:0\"\n"+
		"[groups.students]\nnetwork = \"%s.0/25\"\nmax_sites = 3\n[groups.teachers]\nnetwork = \"%s.128/25\"\nmax_sites = 10\n%s\n",
		g.path("data"), inSSH, network, network, more)
}

// serveScript starts the gateway and waits until it is ready: serve [flags of nuage serve]. With a leading NAME=value
// that is in its environment. It sets SSH_PORT, HTTP and HTTPS (ports), and writes ./ssh, a client config.
func serveScript(ts *testscript.TestScript, neg bool, args []string) {
	g := of(ts)
	if neg || g.process != nil {
		ts.Fatalf("serve runs once, and cannot be negated: see halt")
	}
	if _, err := os.Stat(g.path("nuage.toml")); err != nil {
		ts.Check(os.WriteFile(g.path("nuage.toml"), []byte(g.config()), 0o600))
	}
	env := append(os.Environ(), "HOME="+g.dir, "DOCKER_HOST="+ts.Getenv("DOCKER_HOST"))
	for len(args) > 0 && strings.Contains(args[0], "=") {
		env, args = append(env, args[0]), args[1:]
	}
	self, err := exec.LookPath("nuage")
	ts.Check(err)
	g.process = exec.Command(self, append([]string{"serve", "--config", g.path("nuage.toml")}, args...)...)
	g.process.Env, g.process.Dir = env, g.dir
	g.log = g.path("serve.log")
	log, err := os.OpenFile(g.log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	ts.Check(err)
	g.process.Stdout, g.process.Stderr = log, log
	ts.Check(g.process.Start())
	log.Close()
	g.stopped = make(chan struct{})
	go func() { g.process.Wait(); close(g.stopped) }()
	g.waitReady(ts)
}

func (g *gatewayUnderTest) waitReady(ts *testscript.TestScript) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		log, err := os.ReadFile(g.log)
		ts.Check(err)
		for _, line := range strings.Split(string(log), "\n") {
			if strings.HasPrefix(line, "ready ") {
				g.ready(ts, line)
				return
			}
		}
		select {
		case <-g.stopped:
			g.process = nil
			ts.Fatalf("the gateway ended: %s", log)
		default:
		}
	}
	ts.Fatalf("the gateway did not get ready")
}

func (g *gatewayUnderTest) ready(ts *testscript.TestScript, line string) {
	for _, field := range strings.Fields(line)[1:] {
		name, value, _ := strings.Cut(field, "=")
		if i := strings.LastIndex(value, ":"); i >= 0 {
			value = value[i+1:]
		}
		ts.Setenv(map[string]string{"ssh": "SSH_PORT", "http": "HTTP", "https": "HTTPS", "engine": "ENGINE"}[name], value)
	}
	var b strings.Builder
	for _, who := range personas {
		fmt.Fprintf(&b, "Host %s\nHostName 127.0.0.1\nPort %s\nIdentityFile %s\nIdentitiesOnly yes\nIdentityAgent none\nStrictHostKeyChecking accept-new\nUserKnownHostsFile %s\nLogLevel ERROR\n",
			who, ts.Getenv("SSH_PORT"), g.path(who), g.path("known_hosts"))
	}
	ts.Check(os.WriteFile(g.path("ssh"), []byte(b.String()), 0o600))
}

// haltScript ends the gateway: halt [KILL]. Without KILL it asks, and the status has to be 0.
func haltScript(ts *testscript.TestScript, _ bool, args []string) {
	g := of(ts)
	if g.process == nil {
		ts.Fatalf("no gateway runs")
	}
	signal := syscall.SIGTERM
	if len(args) == 1 && args[0] == "KILL" {
		signal = syscall.SIGKILL
	}
	g.process.Process.Signal(signal) // it may have ended by itself
	select {
	case <-g.stopped:
	case <-time.After(time.Minute):
		ts.Fatalf("the gateway does not stop")
	}
	if status := g.process.ProcessState.ExitCode(); signal == syscall.SIGTERM && status != 0 {
		ts.Fatalf("the gateway ended with status %d", status)
	}
	g.process = nil
}

func (g *gatewayUnderTest) clean() {
	defer g.removeImages()
	if g.process != nil {
		g.process.Process.Kill()
		<-g.stopped
	}
	if g.dns != nil {
		g.dns.Close()
	}
	if g.relay != nil {
		g.relay.cut()
	}
	if g.proxy != nil {
		g.proxy.CloseClientConnections()
		g.proxy.Close()
	}
	if g.school != nil {
		g.school.Close()
	}
	sum := sha256.Sum256([]byte(g.path("data")))
	for _, family := range []string{"inet", "bridge"} { // where the engine made one
		exec.Command("nft", "delete", "table", family, "nuage_"+hex.EncodeToString(sum[:4])).Run()
	}
	label := "label=nuage.data=" + g.path("data")
	for _, kind := range [][]string{{"ps", "-aq"}, {"network", "ls", "-q"}} {
		out, err := exec.Command("docker", append(kind, "--filter", label)...).Output()
		if err != nil {
			return
		}
		for _, id := range strings.Fields(string(out)) {
			remove := []string{"rm", "-f", id}
			if kind[0] == "network" {
				remove = []string{"network", "rm", id}
			}
			exec.Command("docker", remove...).Run()
		}
	}
}

// nothingLeft reports what there still is of any site.
func (g *gatewayUnderTest) nothingLeft() error {
	out, err := exec.Command("docker", "ps", "-aq", "--filter", "label=nuage.data="+g.path("data")).Output()
	if err != nil || len(out) > 0 {
		return fmt.Errorf("containers: %s (%v)", out, err)
	}
	homes, err := os.ReadDir(g.path("data/sites"))
	if err != nil || len(homes) > 0 {
		return fmt.Errorf("homes: %v (%v)", homes, err)
	}
	sites, err := exec.Command("nuage", "ctl", "--data", g.path("data"), "site", "list", "--all", "--json").Output()
	if strings.TrimSpace(string(sites)) != "[]" {
		return fmt.Errorf("sites: %s (%v)", sites, err)
	}
	return nil
}
