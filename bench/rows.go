package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

func (s *stage) runs(n int) int {
	if s.quick {
		return 3
	}
	return n
}

// whoami is a whole login with the stock client: connect, key exchange, signature, one command.
func (s *stage) whoami() ([]row, error) {
	ours, peer, err := turns(s.runs(30),
		func() error { return s.ssh("nuage", "whoami") },
		func() error { return s.ssh("openssh", "true") })
	return []row{{name: "`ssh nuage whoami`", ours: ours, peer: peer, peerName: "`ssh host true`, OpenSSH", goal: 0.4}}, err
}

// create takes turns between a PHP site, the engine alone with the same image and flags, and a static site.
func (s *stage) create() ([]row, error) {
	if s.engine == "none" {
		return nil, errors.New("no engine answers")
	}
	var php, engine, static sample
	for i := range s.runs(10) + 1 {
		p, err1 := timed(func() error { return s.createSite(fmt.Sprintf("p%d", i), "php") })
		e, err2 := timed(func() error { return s.dockerRun(i) })
		t, err3 := timed(func() error { return s.createSite(fmt.Sprintf("s%d", i), "static") })
		if err := errors.Join(err1, err2, err3, s.clean(i)); err != nil {
			return nil, err
		}
		if i > 0 {
			php, engine, static = append(php, p), append(engine, e), append(static, t)
		}
	}
	return []row{
		{name: "`site create` of a PHP site until its first 200", ours: php, peer: engine, peerName: "`docker run`, same image and flags", goal: 1.3},
		{name: "`site create --type static` until its first 200", ours: static, peer: php, peerName: "the row above", goal: 0.3},
	}, nil
}

func (s *stage) createSite(name, kind string) error {
	if err := s.ssh("nuage", "site", "create", name, "--type", kind); err != nil {
		return err
	}
	return until(20*time.Second, func() error { return s.get("127.0.0.1:"+s.httpPort, name+".localhost") })
}

// get asks for the front page and wants a 200.
func (s *stage) get(address, host string) error { return s.getFile(address, host, "") }

func (s *stage) getFile(address, host, file string) error {
	r, err := http.NewRequest("GET", "http://"+address+"/"+file, nil)
	if err != nil {
		return err
	}
	r.Host = host
	client := http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}, Timeout: 5 * time.Second}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", host, resp.Status)
	}
	return nil
}

// dockerRun starts a container with the flags that a site's container has, on a network made like a group's.
func (s *stage) dockerRun(i int) error {
	if i == 0 {
		err := command("docker", "network", "create", "--label", "nuage.data="+s.path("data"), "--subnet", "10.78.81.0/24",
			"--ip-range", "10.78.81.240/28", "-o", "com.docker.network.bridge.enable_icc=false", fmt.Sprintf("nuage-bench-%d", os.Getpid()))
		if err != nil {
			return err
		}
	}
	home, err := s.peerHome()
	if err != nil {
		return err
	}
	address := fmt.Sprintf("10.78.81.%d", i+10)
	err = command("docker", "run", "-d", "--name", fmt.Sprintf("nuage-bench-%d-%d", os.Getpid(), i), "--label", "nuage.data="+s.path("data"),
		"--user", "1999999:1999999", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true", "--read-only", "--init",
		"--ipc", "private", "--shm-size", "16m", "--oom-score-adj", "500",
		"--tmpfs", "/run:rw,nosuid,nodev,noexec,size=1m,mode=0755,uid=1999999,gid=1999999",
		"--tmpfs", "/tmp:rw,nosuid,nodev,exec,size=64m,mode=1777", "--tmpfs", "/var/tmp:rw,nosuid,nodev,noexec,size=64m,mode=1777",
		"--memory", "128m", "--memory-swap", "128m", "--cpus", "1", "--pids-limit", "128",
		"--ulimit", "nofile=1024:4096", "--ulimit", "core=0", "--log-opt", "max-size=1m", "--log-opt", "max-file=2",
		"--network", fmt.Sprintf("nuage-bench-%d", os.Getpid()), "--ip", address, "--workdir", "/home/site",
		"--mount", "type=bind,source="+home+",target=/home/site", "-e", "NUAGE_ROOT=www", "nuage/php:8.2")
	if err != nil {
		return err
	}
	return until(20*time.Second, func() error { return s.get(address+":8080", "bench") })
}

func (s *stage) peerHome() (string, error) {
	home := s.path("peer")
	err := errors.Join(os.MkdirAll(home+"/www", 0o755), os.WriteFile(home+"/www/index.html", []byte("<h1>hello</h1>\n"), 0o644),
		os.Chown(home, 1999999, 1999999))
	return home, err
}

func (s *stage) clean(i int) error {
	return errors.Join(
		s.ssh("nuage", "site", "delete", fmt.Sprintf("p%d", i), "--yes"),
		s.ssh("nuage", "site", "delete", fmt.Sprintf("s%d", i), "--yes"),
		command("docker", "rm", "-f", fmt.Sprintf("nuage-bench-%d-%d", os.Getpid(), i)))
}

// transfer puts and gets one file with stock settings of sftp.
func (s *stage) transfer() ([]row, error) {
	size := 1 << 30
	if s.quick {
		size = 64 << 20
	}
	if err := command("dd", "if=/dev/urandom", "of="+s.path("big"), "bs=1M", "count="+strconv.Itoa(size>>20)); err != nil {
		return nil, err
	}
	if err := s.ssh("nuage", "site", "create", "files", "--type", "static"); err != nil {
		return nil, err
	}
	put, peerPut, err := turns(s.runs(5),
		func() error { return s.sftp("nuage", "put "+s.path("big")+" /files.localhost/big") },
		func() error { return s.sftp("openssh", "put "+s.path("big")+" "+s.path("theirs")) })
	if err != nil {
		return nil, err
	}
	get, peerGet, err := turns(s.runs(5),
		func() error { return s.sftp("nuage", "get /files.localhost/big "+s.path("back")) },
		func() error { return s.sftp("openssh", "get "+s.path("theirs")+" "+s.path("back")) })
	if err != nil {
		return nil, err
	}
	if err := command("cmp", s.path("big"), s.path("back")); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("`sftp` %%s of %d MiB", size>>20)
	return []row{
		{name: fmt.Sprintf(name, "put"), ours: put, peer: peerPut, peerName: "OpenSSH's internal-sftp", goal: 0.9},
		{name: fmt.Sprintf(name, "get"), ours: get, peer: peerGet, peerName: "OpenSSH's internal-sftp", goal: 0.9},
	}, nil
}

func (s *stage) sftp(host, line string) error {
	c := exec.Command("sftp", "-q", "-F", s.path("ssh"), "-b", "-", host)
	c.Stdin = strings.NewReader(line + "\n")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("sftp %s: %w: %s", host, err, out)
	}
	return nil
}

// idle is what the gateway's memory grows by with each connection that is logged in and does nothing; each run
// has a gateway of its own, as memory once used is not given back at once.
func (s *stage) idle() ([]row, error) {
	key, err := os.ReadFile(s.path("key"))
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return nil, err
	}
	var grown sample
	for range s.runs(3) {
		kib, err := s.idleOnce(signer)
		if err != nil {
			return nil, err
		}
		grown = append(grown, kib)
	}
	return []row{{name: "memory for each of 1,000 idle connections", ours: grown, peerName: "–", unit: "KiB", goal: 64, absolute: true}}, nil
}

func (s *stage) idleOnce(signer ssh.Signer) (float64, error) {
	const connections = 1000
	stop(s.gateway)
	if err := errors.Join(s.startGateway(), s.writeClientConfig()); err != nil {
		return 0, err
	}
	before, err := s.resident()
	if err != nil {
		return 0, err
	}
	clients, err := s.dial(connections, signer)
	defer func() {
		for _, c := range clients {
			c.Close()
		}
	}()
	if err != nil {
		return 0, err
	}
	time.Sleep(2 * time.Second) // lets what only the handshakes needed be collected
	after, err := s.resident()
	return float64(after-before) / connections, err
}

func (s *stage) dial(n int, signer ssh.Signer) ([]*ssh.Client, error) {
	config := &ssh.ClientConfig{User: "bench", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 20 * time.Second}
	var clients []*ssh.Client
	for range n {
		c, err := ssh.Dial("tcp", "127.0.0.1:"+s.sshPort, config)
		if err != nil {
			return clients, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}

// resident is the gateway's resident memory in KiB.
func (s *stage) resident() (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.gateway.Process.Pid))
	if err != nil {
		return 0, err
	}
	for _, line := range strings.Split(string(status), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
		}
	}
	return 0, errors.New("no VmRSS")
}
