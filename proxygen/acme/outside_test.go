package acme_test

import (
	"crypto/tls"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// serial tells certificates in files apart.
func serial(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file) // once: it is renewed all the time
	check(t, err)
	pair, err := tls.X509KeyPair(text, text)
	check(t, err)
	return pair.Leaf.SerialNumber.String()
}

// TestOutside: for a proxy outside, a host that is asked for has a file once there is a certificate, which is another once it
// was renewed; nobody shook hands for it.
func TestOutside(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour)
	w.options.Outside, w.options.RenewAt = true, 0.999 // at once
	const host, other = "outside.example.org", "stranger.example.org"
	check(t, w.dns.Add(host+". 60 IN A 127.0.0.1"))
	check(t, w.dns.Add(other+". 60 IN A 127.0.0.1"))
	var changes atomic.Int64
	i := w.serve(host)
	i.Changed = func() { changes.Add(1) }
	if _, _, ok := i.Files(host); ok {
		t.Fatal("there is a certificate from nowhere")
	}
	i.Files(other)
	var file string
	w.eventually("the certificate", func() (ok bool) {
		file, _, ok = i.Files(host)
		return ok && changes.Load() > 0
	})
	info, err := os.Stat(file)
	check(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the key: %v", info.Mode())
	}
	check(t, os.Chtimes(file, time.Time{}, time.Now().AddDate(10, 0, 0))) // by a clock that was ahead
	first, before := serial(t, file), changes.Load()
	w.eventually("a renewal", func() bool { return serial(t, file) != first && changes.Load() > before })
	if _, _, ok := i.Files(other); ok {
		t.Error("a host that is not allowed has a certificate")
	}
	if all := i.Problems(); len(all) != 0 {
		t.Errorf("problems: %q", all)
	}
}

// TestOutsideTells why there is no certificate, and does not ask the authority again at once.
func TestOutsideTells(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour)
	w.options.Outside = true
	const host = "nowhere.example.org" // it has no address
	i := w.serve(host)
	i.Files(host)
	w.eventually("the problem", func() bool { return i.Problem(host) != "" })
	first := i.Problem(host)
	for range 100 {
		i.Files(host)
	}
	check(t, w.dns.Add(host+". 60 IN A 127.0.0.1"))
	conn, err := net.Dial("tcp", w.plain.Addr().String())
	check(t, err)
	conn.Close()
	if _, _, ok := i.Files(host); ok || i.Problem(host) != first {
		t.Errorf("it was tried again at once: %q", i.Problem(host))
	}
}
