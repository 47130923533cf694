package builtin_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
)

func TestTLSByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(show)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(w.ca.RootPEM())
	for _, name := range []string{"blog.test", "BLOG.test"} {
		conn, err := tls.Dial("tcp", w.tls, &tls.Config{ServerName: name, RootCAs: pool})
		if err != nil {
			t.Fatal(err)
		}
		if v := conn.ConnectionState().Version; v != tls.VersionTLS13 {
			t.Errorf("version %x", v)
		}
		conn.Close()
	}
	for _, name := range []string{"other.test", ""} {
		_, err := tls.Dial("tcp", w.tls, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("name %q: %v, want the alert unrecognized name", name, err)
		}
	}
	if _, err := tls.Dial("tcp", w.tls, &tls.Config{ServerName: "blog.test", RootCAs: pool, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if n := w.ca.Kept(); n != 1 {
		t.Errorf("%d certificates for one host", n)
	}
}

// TestHostUnlikeSNI is sent back to make another connection, whether the host is there or not.
func TestHostUnlikeSNI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(show)
	w.static(map[string]string{"index.html": "home"})
	w.publishBoth()
	for host, want := range map[string]int{"page.test": 421, "nobody.test": 421, "blog.test": 200, "BLOG.test.:443": 200} {
		conn, err := tls.Dial("tcp", w.tls, &tls.Config{ServerName: "blog.test", InsecureSkipVerify: true})
		check(t, err)
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
		for _, a := range readAnswers(conn) {
			a.want(t, want, "")
		}
		conn.Close()
	}
}

func TestCAIsKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "certs")
	first, err := builtin.OpenCA(dir, time.Now)
	check(t, err)
	again, err := builtin.OpenCA(dir, time.Now)
	check(t, err)
	if !bytes.Equal(first.RootPEM(), again.RootPEM()) {
		t.Error("another root")
	}
	entries, err := os.ReadDir(dir)
	check(t, err)
	if len(entries) != 1 {
		t.Errorf("%d files", len(entries))
	}
	info, err := entries[0].Info()
	check(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if bytes.Contains(first.RootPEM(), []byte("PRIVATE")) {
		t.Error("RootPEM holds the key")
	}
	block, _ := pem.Decode(first.RootPEM())
	root, err := x509.ParseCertificate(block.Bytes)
	check(t, err)
	if !root.IsCA || root.MaxPathLen != 0 || !root.MaxPathLenZero || root.NotAfter.Before(time.Now().AddDate(9, 11, 0)) {
		t.Errorf("root: %v %v %v", root.IsCA, root.MaxPathLen, root.NotAfter)
	}
}

func TestDamagedCA(t *testing.T) {
	t.Parallel()
	one, other := t.TempDir(), t.TempDir()
	for _, dir := range []string{one, other} {
		_, err := builtin.OpenCA(dir, time.Now)
		check(t, err)
	}
	good, err := os.ReadFile(filepath.Join(one, "ca.pem"))
	check(t, err)
	foreign, err := os.ReadFile(filepath.Join(other, "ca.pem"))
	check(t, err)
	_, key := pem.Decode(foreign)
	block, _ := pem.Decode(good)
	cert := pem.EncodeToMemory(block)
	for name, data := range map[string][]byte{
		"empty": nil, "cut": good[:len(good)/2], "garbage": []byte("garbage"), "no key": cert,
		"other key": append(bytes.Clone(cert), key...), "twice": append(bytes.Clone(good), good...),
	} {
		file := filepath.Join(one, "ca.pem")
		check(t, os.WriteFile(file, data, 0o600))
		_, err := builtin.OpenCA(one, time.Now)
		var e *cloud.Error
		if !errors.As(err, &e) || e.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
		if left, _ := os.ReadFile(file); !bytes.Equal(left, data) {
			t.Errorf("%s: the file was changed", name)
		}
	}
	check(t, os.WriteFile(filepath.Join(one, "ca.pem"), good, 0o600))
	check(t, os.Chmod(filepath.Join(one, "ca.pem"), 0o644))
	if _, err := builtin.OpenCA(one, time.Now); err == nil {
		t.Error("a key that all may read is used")
	}
}

func TestLeaves(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	ca, err := builtin.OpenCA(t.TempDir(), clock)
	check(t, err)
	hello := &tls.ClientHelloInfo{ServerName: "blog.test"}

	var all sync.WaitGroup
	certs := make([]*tls.Certificate, 50)
	for i := range certs {
		all.Go(func() { certs[i], _ = ca.GetCertificate(hello) })
	}
	all.Wait()
	for _, c := range certs {
		if c == nil || c != certs[0] {
			t.Fatal("handshakes at the same time made several certificates")
		}
	}
	leaf := certs[0].Leaf
	if err := leaf.VerifyHostname("blog.test"); err != nil || leaf.VerifyHostname("other.test") == nil || leaf.IsCA {
		t.Errorf("leaf for %v, CA %v: %v", leaf.DNSNames, leaf.IsCA, err)
	}

	later := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
	later(59 * 24 * time.Hour)
	if c, _ := ca.GetCertificate(hello); c != certs[0] {
		t.Error("renewed too early")
	}
	later(2 * 24 * time.Hour)
	c, err := ca.GetCertificate(hello)
	check(t, err)
	if c == certs[0] || !c.Leaf.NotAfter.After(leaf.NotAfter) {
		t.Error("not renewed before its end")
	}
	if ca.Kept() != 1 {
		t.Errorf("%d kept for one host", ca.Kept())
	}
}

func TestLeavesAreBounded(t *testing.T) {
	t.Parallel()
	ca, err := builtin.OpenCA(t.TempDir(), time.Now)
	check(t, err)
	for i := range builtin.MaxLeaves + 10 {
		_, err := ca.GetCertificate(&tls.ClientHelloInfo{ServerName: fmt.Sprintf("h%d.test", i)})
		check(t, err)
	}
	if n := ca.Kept(); n != builtin.MaxLeaves {
		t.Errorf("%d certificates kept; the limit is %d", n, builtin.MaxLeaves)
	}
}

// TestCAByAClockThatIsWrong: whatever the clock said when a certificate was made, one that is good is shown once it is right.
func TestCAByAClockThatIsWrong(t *testing.T) {
	t.Parallel()
	for _, years := range []int{-56, -1, 1, 11} {
		wrong := true
		clock := func() time.Time {
			if wrong {
				return time.Now().AddDate(years, 0, 0)
			}
			return time.Now()
		}
		dir := t.TempDir()
		ca, err := builtin.OpenCA(dir, clock)
		check(t, err)
		hello := &tls.ClientHelloInfo{ServerName: "blog.test"}
		_, err = ca.GetCertificate(hello)
		check(t, err)
		file, err := ca.Files(dir, "blog.test")
		check(t, err)
		check(t, os.Chtimes(file, time.Time{}, clock())) // as it would have been
		wrong = false
		shown, err := ca.GetCertificate(hello)
		check(t, err)
		_, err = ca.Files(dir, "blog.test")
		check(t, err)
		written, err := tls.LoadX509KeyPair(file, file)
		check(t, err)
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(ca.RootPEM())
		for _, cert := range []*tls.Certificate{shown, &written} {
			if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "blog.test"}); err != nil {
				t.Errorf("made %d years off: %v", years, err)
			}
		}
		if all := ca.Problems(); len(all) != 0 {
			t.Errorf("problems: %q", all)
		}
	}
}

// TestACAThatHasEnded is served, for SSH and HTTP need none, and told: the clock may be wrong.
func TestACAThatHasEnded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := builtin.OpenCA(dir, time.Now)
	check(t, err)
	ca, err := builtin.OpenCA(dir, func() time.Time { return time.Now().AddDate(11, 0, 0) })
	check(t, err)
	if _, err := ca.GetCertificate(&tls.ClientHelloInfo{ServerName: "blog.test"}); err != nil {
		t.Error(err)
	}
	if why := strings.Join(ca.Problems(), ""); !strings.Contains(why, "the root of the local CA ended on") {
		t.Errorf("problems: %q", why)
	}
}
