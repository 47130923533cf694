package command

import (
	"bytes"
	"context"
	"crypto/ed25519"
	goflag "flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/home"
	"plil.net/nuage/provision/fake"
	"plil.net/nuage/store"
)

var update = goflag.Bool("update", false, "write the golden files")

// networks numbers the networks of tests, so that the fake's web servers do not meet.
var networks atomic.Int32

var today = time.Date(2026, 11, 9, 12, 0, 0, 0, time.UTC)

// world is a cloud on fakes with three people: alice and bob are members, root is an admin.
type world struct {
	*cloud.Cloud
	engine *fake.Engine
	who    map[string]cloud.Who
	clock  atomic.Int64 // seconds after today
}

// uid is one that homes can belong to: root's may not.
func uid() int {
	if os.Getuid() == 0 {
		return 100_000
	}
	return os.Getuid()
}

type nowhere struct{}

func (nowhere) Publish(context.Context, []cloud.Route) error { return nil }

// openStore is the store of a world: one in memory does no backups.
type openStore struct{ cloud.Store }

func (s openStore) Backup(_ context.Context, w io.Writer) error {
	_, err := w.Write([]byte("\x00snapshot\n\xff"))
	return err
}

// still is an engine that runs no programs: the fake's run on the host, and a fuzzer makes up lines.
type still struct{ *fake.Engine }

func (still) Exec(context.Context, string, cloud.Exec) (int, error) { return 0, nil }

func newWorld(t testing.TB) *world {
	t.Helper()
	engine := fake.New()
	return newWorldOn(t, engine, engine)
}

func newWorldOn(t testing.TB, engine cloud.Engine, fakes *fake.Engine) *world {
	t.Helper()
	homes, err := home.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{engine: fakes, who: map[string]cloud.Who{}}
	w.Cloud, err = cloud.New(cloud.Options{
		Store: openStore{store.NewMemory()}, Engine: engine, Homes: homes, Publisher: nowhere{},
		Groups: []cloud.Group{
			{Name: "students", Network: netip.MustParsePrefix(fmt.Sprintf("127.73.%d.0/24", networks.Add(1))), Limits: cloud.Limits{
				MaxSites: 3, Memory: 128 << 20, CPUs: 0.5, Disk: 1 << 30, Idle: 30 * time.Minute,
			}},
			{Name: "teachers", Network: netip.MustParsePrefix("127.74.0.0/24"), Domains: []string{"prof.example"}, Limits: cloud.Limits{MaxSites: 9}},
		},
		DefaultGroup: "students", Domain: "plil.test",
		Door:        cloud.Door{Host: "nuage.test", SSHPort: 2222, HTTPPort: 8080, HTTPSPort: 8443},
		OperatorKey: "SHA256:operator", RootCA: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", Version: "1.0",
		FirstUID: uid(), SameUID: true,
		Now: func() time.Time { return today.Add(time.Duration(w.clock.Load()) * time.Second) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(); _ = w.engine.Close() })
	operator := cloud.Who{Account: cloud.Operator, Key: "SHA256:operator", Address: "127.0.0.1:1"}
	for i, name := range []string{"alice", "bob", "root"} {
		key := publicKey(byte(i))
		if _, err := w.AddAccount(t.Context(), operator, cloud.NewAccount{Name: name, Admin: name == "root", Key: key}); err != nil {
			t.Fatal(err)
		}
		k, _ := cloud.ParseKey(key)
		w.who[name] = cloud.Who{Account: name, Key: k.Fingerprint, Address: "192.0.2.1:4711"}
	}
	return w
}

// publicKey is the nth of keys that are always the same.
func publicKey(n byte) string {
	pub := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n + 1}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
	k, _ := ssh.NewPublicKey(pub)
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))) + fmt.Sprintf(" key%d", n)
}

// run runs one line without a terminal.
func (w *world) run(t testing.TB, who, line, stdin string) (status int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, err bytes.Buffer
	status = Run(ctx, Call{Cloud: w.Cloud, Who: w.who[who], Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &err}, line)
	return status, out.String(), err.String()
}

// must runs a line that has to succeed.
func (w *world) must(t testing.TB, who, line string) (stdout string) {
	t.Helper()
	status, stdout, stderr := w.run(t, who, line, "")
	if status != 0 {
		t.Fatalf("%s: %q exits %d\n%s%s", who, line, status, stdout, stderr)
	}
	return stdout
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update writes it); got:\n%s", file, got)
	}
}
