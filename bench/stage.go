package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// stage is a gateway and an OpenSSH server, both on ports of 127.0.0.1 that were free, with data that goes when
// the bench ends.
type stage struct {
	dir     string
	quick   bool
	gateway *exec.Cmd
	sshd    *exec.Cmd
	peers   []*web
	light   bool // the image is there
	engine  string
	sshPort, httpPort, httpsPort,
	sshdPort string
}

var readyLine = regexp.MustCompile(`^ready ssh=(\S+) http=(\S+) https=(\S+) engine=(\S+)`)

func newStage(quick bool) (*stage, error) {
	dir, err := os.MkdirTemp("", "nuage-bench-")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, quick: quick}
	if err := errors.Join(s.makeKey(), s.startGateway(), s.startSSHD(), s.writeClientConfig()); err != nil {
		s.close()
		return nil, err
	}
	return s, s.addAccount()
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

func (s *stage) makeKey() error {
	return command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.path("key"))
}

func (s *stage) startGateway() error {
	return s.startGatewayBy(s.config("localhost", "listen = \"127.0.0.1:0\"\ntls = \"127.0.0.1:0\"\n"))
}

// config is a gateway's; http are the lines of its section [http], and of others behind it.
func (s *stage) config(domain, http string) string {
	return fmt.Sprintf("data = %q\ndomain = %q\n[ssh]\nlisten = \"127.0.0.1:0\"\n[http]\n%s"+
		"[groups.students]\nnetwork = \"10.78.80.0/24\"\nmax_sites = 2000\nmemory = \"128MiB\"\ncpus = 1.0\ndisk = \"64GiB\"\n"+
		"[images]\n%q = %q\n", s.path("data"), domain, http, lightImage, s.lightTag())
}

func (s *stage) startGatewayBy(config string) error {
	if err := os.WriteFile(s.path("nuage.toml"), []byte(config), 0o600); err != nil {
		return err
	}
	s.gateway = exec.Command("bin/nuage", "serve", "--config", s.path("nuage.toml"))
	stderr, err := s.gateway.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.gateway.Start(); err != nil {
		return fmt.Errorf("%w (make build first)", err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
			s.sshPort, s.httpPort, s.httpsPort, s.engine = portOf(m[1]), portOf(m[2]), portOf(m[3]), m[4]
			go func() { // ends with the gateway
				for lines.Scan() {
				}
			}()
			return nil
		}
	}
	return errors.New("the gateway did not get ready")
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

func (s *stage) startSSHD() error {
	if err := command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.path("host")); err != nil {
		return err
	}
	key, err := os.ReadFile(s.path("key.pub"))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.sshdPort = portOf(l.Addr().String())
	l.Close()
	config := fmt.Sprintf("Port %s\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\nMaxStartups 2000\n",
		s.sshdPort, s.path("host"), s.path("authorized"))
	err = errors.Join(os.MkdirAll("/run/sshd", 0o755), os.WriteFile(s.path("authorized"), key, 0o600), os.WriteFile(s.path("sshd"), []byte(config), 0o600))
	if err != nil {
		return err
	}
	s.sshd = exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", s.path("sshd"))
	if err := s.sshd.Start(); err != nil {
		return err
	}
	return until(5*time.Second, func() error {
		c, err := net.Dial("tcp", "127.0.0.1:"+s.sshdPort)
		if err == nil {
			c.Close()
		}
		return err
	})
}

// writeClientConfig names both servers; all else are OpenSSH's stock settings.
func (s *stage) writeClientConfig() error {
	var b strings.Builder
	for name, port := range map[string]string{"nuage": s.sshPort, "openssh": s.sshdPort} {
		fmt.Fprintf(&b, "Host %s\nHostName 127.0.0.1\nPort %s\nIdentityFile %s\nIdentitiesOnly yes\nIdentityAgent none\nStrictHostKeyChecking accept-new\nUserKnownHostsFile %s\nLogLevel ERROR\n",
			name, port, s.path("key"), s.path("known"))
	}
	return os.WriteFile(s.path("ssh"), []byte(b.String()), 0o600)
}

func (s *stage) addAccount() error {
	key, err := os.Open(s.path("key.pub"))
	if err != nil {
		return err
	}
	defer key.Close()
	add := exec.Command("bin/nuage", "ctl", "--data", s.path("data"), "account", "add", "bench", "--key", "-")
	add.Stdin = key
	if out, err := add.CombinedOutput(); err != nil {
		return fmt.Errorf("account add: %w: %s", err, out)
	}
	return nil
}

// ssh runs a command on one of the two hosts.
func (s *stage) ssh(host string, args ...string) error {
	return command("ssh", append([]string{"-F", s.path("ssh"), host}, args...)...)
}

func (s *stage) close() {
	for _, w := range s.peers {
		w.stop()
	}
	stop(s.gateway)
	stop(s.sshd)
	s.removeContainers()
	if s.light {
		output("docker", "rmi", s.lightTag())
	}
	os.RemoveAll(s.dir)
}

// stop gives a program half a minute to end.
func stop(c *exec.Cmd) {
	if c == nil || c.Process == nil || c.ProcessState != nil {
		return
	}
	c.Process.Signal(syscall.SIGTERM)
	defer time.AfterFunc(30*time.Second, func() { c.Process.Kill() }).Stop()
	c.Wait()
}

func (s *stage) removeContainers() {
	label := "label=nuage.data=" + s.path("data")
	for _, id := range strings.Fields(output("docker", "ps", "-aq", "--filter", label)) {
		output("docker", "rm", "-f", id)
	}
	for _, id := range strings.Fields(output("docker", "network", "ls", "-q", "--filter", label)) {
		output("docker", "network", "rm", id)
	}
	sum := sha256.Sum256([]byte(s.path("data")))
	for _, family := range []string{"inet", "bridge"} {
		output("nft", "delete", "table", family, "nuage_"+hex.EncodeToString(sum[:4]))
	}
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// until tries fn every few milliseconds until it works or the time is over.
func until(limit time.Duration, fn func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := fn()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(3 * time.Millisecond)
	}
}
