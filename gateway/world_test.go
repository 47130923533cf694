package gateway_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
	"plil.net/nuage/home"
	"plil.net/nuage/store"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// world is a gateway with its cloud, on a port of its own.
type world struct {
	*testing.T
	cloud    *cloud.Cloud
	gateway  *gateway.Gateway
	engine   *hostEngine
	log      *syncBuffer
	address  string
	host     ssh.Signer
	operator ssh.Signer
	dir      string // for keys
	stop     func() error
}

// person is somebody with a key.
type person struct {
	*world
	name string
	key  ssh.Signer
	file string // the private key
}

type noPublisher struct{}

func (noPublisher) Publish(context.Context, []cloud.Route) error { return nil }

// entries are ways in besides keys that are known.
type entries struct {
	authorities gateway.Authorities
	school      cloud.School
	used        []ssh.Signer // host keys besides the world's
	next        []ssh.Signer // and to come
	now         func() time.Time
	slow        string // an account that the store looks up slowly
}

func newWorld(t *testing.T, limits gateway.Limits) *world {
	t.Helper()
	return newWorldWith(t, limits, entries{})
}

func newWorldWith(t *testing.T, limits gateway.Limits, e entries) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), engine: newHostEngine(), log: &syncBuffer{}}
	w.host, w.operator = w.must2(gateway.HostKey(w.dir)), w.must2(gateway.OperatorKey(w.dir))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	w.address = listener.Addr().String()
	w.must(os.Chmod(filepath.Dir(w.dir), 0o711)) // programs of sites have another uid
	homes, err := home.New(filepath.Join(w.dir, "sites"))
	w.must(err)
	uid := os.Getuid()
	if uid == 0 {
		uid = 47_000 // a site may not be root
	}
	records := store.NewMemory()
	t.Cleanup(func() { records.Close() })
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.cloud, err = cloud.New(cloud.Options{
		Store: slowStore{records, e.slow}, Engine: w.engine, Homes: homes, Publisher: noPublisher{}, Log: log,
		Groups: []cloud.Group{{
			Name: "students", Network: netip.MustParsePrefix("10.64.0.0/16"),
			Limits: cloud.Limits{MaxSites: 3, Memory: 128 << 20, CPUs: 1, Disk: 1 << 30},
		}},
		DefaultGroup: "students", Domain: "plil.test", Door: cloud.Door{Host: "nuage.test", SSHPort: 2222, HTTPPort: 80},
		OperatorKey: ssh.FingerprintSHA256(w.operator.PublicKey()), Authorities: e.authorities.Fingerprints(), School: e.school,
		FirstUID: uid, SameUID: os.Getuid() != 0,
	})
	w.must(err)
	t.Cleanup(w.cloud.Close)
	w.gateway = gateway.New(gateway.Options{
		Cloud: w.cloud, HostKeys: append([]ssh.Signer{w.host}, e.used...), NextHostKeys: e.next, Log: log, Limits: limits,
		Authorities: e.authorities, Now: e.now,
	})
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.gateway.Serve(ctx, listener) }()
	w.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-served:
			return err
		case <-time.After(patience):
			return fmt.Errorf("Serve did not return")
		}
	})
	t.Cleanup(func() {
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(w.log.String())
		}
	})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) must2(key ssh.Signer, err error) ssh.Signer {
	w.Helper()
	w.must(err)
	return key
}

func (w *world) who() cloud.Who {
	return cloud.Who{Account: cloud.Operator, Key: ssh.FingerprintSHA256(w.operator.PublicKey())}
}

// person makes a key, and an account that has it.
func (w *world) person(name string) *person {
	w.Helper()
	p := w.stranger(name)
	line := string(ssh.MarshalAuthorizedKey(p.key.PublicKey()))
	_, err := w.cloud.AddAccount(context.Background(), w.who(), cloud.NewAccount{Name: name, Key: line})
	w.must(err)
	return p
}

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// stranger makes a key that nobody knows.
func (w *world) stranger(name string) *person {
	w.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	w.must(err)
	signer, err := ssh.NewSignerFromKey(private)
	w.must(err)
	block, err := ssh.MarshalPrivateKey(private, name)
	w.must(err)
	file := filepath.Join(w.dir, name+".key")
	w.must(os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	return &person{w, name, signer, file}
}

// site makes a site of the person.
func (p *person) site(name string, kind cloud.Type) string {
	p.Helper()
	who := cloud.Who{Account: p.name, Key: ssh.FingerprintSHA256(p.key.PublicKey())}
	s, err := p.cloud.CreateSite(context.Background(), who, cloud.NewSite{Name: name, Type: kind})
	p.must(err)
	return s.Name
}

// output is what a client program left.
type output struct {
	stdout, stderr string
	status         int
}

func (p *person) options() []string {
	known := filepath.Join(p.dir, "known_hosts")
	_, port, _ := net.SplitHostPort(p.address)
	line := "[127.0.0.1]:" + port + " " + string(ssh.MarshalAuthorizedKey(p.host.PublicKey()))
	if was, _ := os.ReadFile(known); string(was) != line { // another client may be reading it
		p.must(os.WriteFile(known, []byte(line), 0o600))
	}
	return []string{
		"-F", "none", "-o", "Port=" + port, "-o", "IdentityFile=" + p.file, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
		"-o", "BatchMode=yes", "-o", "UserKnownHostsFile=" + known, "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=20",
	}
}

// program prepares one of OpenSSH's clients; the destination is user@ or "".
func (p *person) program(name string, args ...string) *exec.Cmd {
	p.Helper()
	return p.plain(name, append(p.options(), args...)...)
}

// plain prepares one of OpenSSH's programs.
func (p *person) plain(name string, args ...string) *exec.Cmd {
	p.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if promised("ssh") {
			p.Fatalf("%s was promised: %v", name, err)
		}
		p.Skipf("needs OpenSSH's %s: %v", name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	p.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = time.Second
	return cmd
}

func promised(tool string) bool {
	return slices.Contains(strings.Split(os.Getenv("NUAGE_MUST"), ","), tool)
}

// ssh runs ssh as the user name given, with stdin and arguments.
func (p *person) ssh(user, stdin string, args ...string) output {
	p.Helper()
	cmd := p.program("ssh", append([]string{"-l", user}, withHost(args)...)...)
	cmd.Stdin = strings.NewReader(stdin)
	return p.run(cmd)
}

// agentSSH runs ssh with options that come before those that forbid an agent.
func (p *person) agentSSH(user string, args ...string) output {
	p.Helper()
	last := len(args) - 1
	return p.run(p.plain("ssh", slices.Concat(args[:last], p.options(), []string{"-l", user, "127.0.0.1", args[last]})...))
}

// withHost puts the host behind the options.
func withHost(args []string) []string {
	i := 0
	for i < len(args) && strings.HasPrefix(args[i], "-") {
		if args[i] == "-o" || args[i] == "-S" || args[i] == "-O" {
			i++
		}
		i++
	}
	return slices.Concat(args[:i], []string{"127.0.0.1"}, args[i:])
}

func (w *world) run(cmd *exec.Cmd) (o output) {
	w.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		w.Fatal(err)
	}
	return output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// dial connects with a client of our own.
func (p *person) dial(user string) *ssh.Client {
	p.Helper()
	client, err := ssh.Dial("tcp", p.address, p.clientConfig(user, p.key))
	p.must(err)
	p.Cleanup(func() { client.Close() })
	return client
}

func (w *world) clientConfig(user string, keys ...ssh.Signer) *ssh.ClientConfig {
	return &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(keys...)},
		HostKeyCallback: ssh.FixedHostKey(w.host.PublicKey()), Timeout: patience,
	}
}

// session opens a raw session channel.
func (w *world) session(c *ssh.Client) *raw {
	w.Helper()
	ch, reqs, err := c.OpenChannel("session", nil)
	w.must(err)
	r := &raw{Channel: ch, w: w, status: make(chan int, 1)}
	go func() {
		defer close(r.status)
		for req := range reqs {
			if req.Type == "exit-status" {
				var m struct{ Status uint32 }
				_ = ssh.Unmarshal(req.Payload, &m)
				r.status <- int(m.Status)
			}
			_ = req.Reply(false, nil)
		}
	}()
	return r
}

// files is a client of an SFTP session.
func (w *world) files(c *ssh.Client) *sftp.Client {
	w.Helper()
	f, err := sftp.NewClient(c)
	w.must(err)
	return f
}

// raw is a session channel without any manners.
type raw struct {
	ssh.Channel
	w      *world
	status chan int
}

func (r *raw) ask(kind string, payload []byte) bool {
	r.w.Helper()
	ok, err := r.SendRequest(kind, true, payload)
	r.w.must(err)
	return ok
}

func (r *raw) exec(line string) bool {
	return r.ask("exec", ssh.Marshal(struct{ Line string }{line}))
}

// wait returns the exit status, -1 if the channel closed without one.
func (r *raw) wait() int {
	r.w.Helper()
	select {
	case status, ok := <-r.status:
		if !ok {
			return -1
		}
		return status
	case <-time.After(patience):
		r.w.Fatal("no exit status came")
		return -1
	}
}

// eventually waits until what is so.
func (w *world) eventually(what string, so func() bool) {
	w.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("not in time: %s", what)
		}
	}
}

func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in %s", part, strconv.Quote(text))
		}
	}
}

// syncBuffer is a buffer that many may write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
