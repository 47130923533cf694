package builtin_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
)

// school makes a certificate as a school has one, and writes it to the pair's files.
func school(t *testing.T, p builtin.Pair, serial int64, until time.Time, names ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: names, NotBefore: until.Add(-90 * 24 * time.Hour), NotAfter: until}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	replaceFile(t, p.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	replaceFile(t, p.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
}

func replaceFile(t *testing.T, name string, data []byte) {
	t.Helper()
	check(t, os.WriteFile(name+".new", data, 0o600))
	check(t, os.Rename(name+".new", name))
}

func pairIn(t *testing.T) builtin.Pair {
	dir := t.TempDir()
	return builtin.Pair{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
}

// serial is that of the certificate a client is shown for a name, 0 for none.
func serial(t *testing.T, f *builtin.Files, name string) int64 {
	t.Helper()
	cert, err := f.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
	check(t, err)
	if cert == nil {
		return 0
	}
	return cert.Leaf.SerialNumber.Int64()
}

// watched opens files that are looked at until the test ends.
func watched(t *testing.T, pairs ...builtin.Pair) *builtin.Files {
	t.Helper()
	return watchedBy(t, time.Now, pairs...)
}

func watchedBy(t *testing.T, now func() time.Time, pairs ...builtin.Pair) *builtin.Files {
	t.Helper()
	f, err := builtin.OpenFiles(pairs, slog.New(slog.NewTextHandler(t.Output(), nil)), now)
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); f.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return f
}

var month = 30 * 24 * time.Hour

func TestFilesByName(t *testing.T) {
	t.Parallel()
	one, two, three := pairIn(t), pairIn(t), pairIn(t)
	school(t, one, 1, time.Now().Add(month), "*.plil.net", "plil.net")
	school(t, two, 2, time.Now().Add(2*month), "shop.plil.net")
	school(t, three, 3, time.Now().Add(month), "www.example.org")
	f := watched(t, one, two, three)
	for name, want := range map[string]int64{
		"blog.plil.net": 1, "plil.net": 1, "shop.plil.net": 2, "www.example.org": 3, "a.b.plil.net": 0, "example.org": 0, "": 0,
	} {
		if got := serial(t, f, name); got != want {
			t.Errorf("%q is shown certificate %d, want %d", name, got, want)
		}
	}
	if why := f.Problem("example.org"); !strings.Contains(why, "no certificate file names") {
		t.Errorf("problem %q", why)
	}
	if why := f.Problem("blog.plil.net"); why != "" {
		t.Errorf("problem %q", why)
	}
}

func TestFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	p := pairIn(t)
	school(t, p, 1, time.Now().Add(month), "*.plil.net")
	f := watched(t, p)
	school(t, p, 2, time.Now().Add(2*month), "*.plil.net", "plil.net")
	eventually(t, "the new certificate", func() bool { return serial(t, f, "blog.plil.net") == 2 })
}

// TestWrongFilesAreRefused: whatever comes, the old certificate stays, and people are told.
func TestWrongFilesAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*testing.T, builtin.Pair)
		why    string
	}{
		"ended":   {func(t *testing.T, p builtin.Pair) { school(t, p, 2, time.Now().Add(-time.Hour), "*.plil.net") }, "it ended on"},
		"to come": {func(t *testing.T, p builtin.Pair) { school(t, p, 2, time.Now().Add(6*month), "*.plil.net") }, "it begins on"},
		"another": {func(t *testing.T, p builtin.Pair) { school(t, p, 2, time.Now().Add(month), "*.example.org") }, `does not name "*.plil.net"`},
		"key": {func(t *testing.T, p builtin.Pair) {
			other := pairIn(t)
			school(t, other, 2, time.Now().Add(month), "*.plil.net")
			copyOver(t, other.Key, p.Key)
		}, "private key does not match"},
		"half": {func(t *testing.T, p builtin.Pair) { replaceFile(t, p.Cert, []byte("-----BEGIN CERTIFICATE-----\nMII")) }, "failed to find"},
		"open": {func(t *testing.T, p builtin.Pair) {
			school(t, p, 2, time.Now().Add(month), "*.plil.net")
			check(t, os.Chmod(p.Key, 0o644))
		}, "everybody on the host"},
		"gone": {func(t *testing.T, p builtin.Pair) { check(t, os.Remove(p.Cert)) }, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := pairIn(t)
			school(t, p, 1, time.Now().Add(month), "*.plil.net")
			f := watched(t, p)
			tc.change(t, p)
			eventually(t, "the refusal", func() bool { return strings.Contains(strings.Join(f.Problems(), " "), tc.why) })
			if got := serial(t, f, "blog.plil.net"); got != 1 {
				t.Errorf("certificate %d is shown, want the old one", got)
			}
			school(t, p, 3, time.Now().Add(month), "*.plil.net")
			check(t, os.Chmod(p.Key, 0o600))
			eventually(t, "a good one again", func() bool { return serial(t, f, "blog.plil.net") == 3 && len(f.Problems()) == 0 })
		})
	}
}

func copyOver(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	check(t, err)
	replaceFile(t, to, data)
}

func TestFilesAtTheStart(t *testing.T) {
	t.Parallel()
	p := pairIn(t)
	for _, pairs := range [][]builtin.Pair{nil, {p}} {
		if _, err := builtin.OpenFiles(pairs, slog.New(slog.DiscardHandler), time.Now); cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("%v: %v, want invalid", pairs, err)
		}
	}
	school(t, p, 1, time.Now().Add(-time.Hour), "*.plil.net")
	f := watched(t, p)
	if got := serial(t, f, "blog.plil.net"); got != 1 {
		t.Errorf("certificate %d: one that has ended is better than none", got)
	}
	if why := f.Problem("blog.plil.net"); !strings.Contains(why, "it ended on") {
		t.Errorf("problem %q", why)
	}
}

// TestFilesOfAClockThatWasWrong: what was refused for its dates is taken once the clock is right, with no hand on the files.
func TestFilesOfAClockThatWasWrong(t *testing.T) {
	t.Parallel()
	p := pairIn(t)
	school(t, p, 1, time.Now().Add(month), "*.plil.net")
	var off atomic.Int64
	f := watchedBy(t, func() time.Time { return time.Now().Add(time.Duration(off.Load())) }, p)
	off.Store(int64(-6 * month))
	school(t, p, 2, time.Now().Add(2*month), "*.plil.net")
	eventually(t, "the refusal", func() bool { return strings.Contains(strings.Join(f.Problems(), " "), "it begins on") })
	off.Store(0)
	eventually(t, "the new certificate", func() bool { return serial(t, f, "blog.plil.net") == 2 && len(f.Problems()) == 0 })
}
