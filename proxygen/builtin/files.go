package builtin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"plil.net/nuage/cloud"
)

const (
	lookEvery = time.Second            // at the files
	endsSoon  = 14 * 24 * time.Hour    // people are told
	settleFor = 500 * time.Millisecond // a file that is still being written is left alone
)

// Pair names the files of a certificate with its chain, and of its key, both PEM.
type Pair struct {
	Cert string `toml:"cert"`
	Key  string `toml:"key"`
}

// Files serves certificates that somebody else keeps in files, such as a wildcard that the school bought or certbot
// renews. Changed files are read again; what cannot be served is refused with a line in the log, and what was
// served before stays.
type Files struct {
	pairs []*pairOfFiles
	log   *slog.Logger
	now   func() time.Time
}

type pairOfFiles struct {
	Pair
	seen    stamps // of the files as last read
	current atomic.Pointer[tls.Certificate]
	refused atomic.Pointer[string] // why the files are not what is served
}

var (
	_ Certificates       = (*Files)(nil)
	_ cloud.Certificates = (*Files)(nil)
)

// OpenFiles reads all pairs. One that cannot be read is Invalid; one that has ended is served, with a warning, as it
// would be if it ended while the gateway runs.
func OpenFiles(pairs []Pair, log *slog.Logger, now func() time.Time) (*Files, error) {
	f := &Files{log: log, now: now}
	if len(pairs) == 0 {
		return nil, cloud.Errorf(cloud.Invalid, `http.cert = "files" and no http.files`).
			WithHint(`write it like files = [{ cert = "/etc/ssl/plil.net.pem", key = "/etc/ssl/plil.net.key" }]`)
	}
	for _, names := range pairs {
		p := &pairOfFiles{Pair: names, seen: names.stamps()}
		cert, err := names.load()
		if err != nil {
			return nil, cloud.Errorf(cloud.Invalid, "the certificate %q cannot be served: %v", names.Cert, err).
				WithHint("it has to be PEM, the site's certificate first, and %q its key", names.Key)
		}
		if now().After(cert.Leaf.NotAfter) {
			log.Warn("certificate has ended", "file", names.Cert, "ended", cert.Leaf.NotAfter)
		}
		p.current.Store(cert)
		f.pairs = append(f.pairs, p)
	}
	return f, nil
}

// GetCertificate finds the certificate that names hello.ServerName: of several, the one that is good for longest. Nil
// if none does.
func (f *Files) GetCertificate(hello *tls.ClientHelloInfo) (best *tls.Certificate, err error) {
	for _, p := range f.pairs {
		cert := p.current.Load()
		if cert.Leaf.VerifyHostname(hello.ServerName) != nil {
			continue
		}
		if best == nil || cert.Leaf.NotAfter.After(best.Leaf.NotAfter) {
			best = cert
		}
	}
	return best, nil
}

// Files names the files of the certificate for a host, for a proxy outside that reads files itself.
func (f *Files) Files(host string) (cert, key string, ok bool) {
	best, _ := f.GetCertificate(&tls.ClientHelloInfo{ServerName: host})
	for _, p := range f.pairs {
		if best != nil && p.current.Load() == best {
			return p.Cert, p.Key, true
		}
	}
	return "", "", false
}

// Run reads changed files again until ctx ends.
func (f *Files) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, p := range f.pairs {
				f.look(p)
			}
		}
	}
}

func (f *Files) look(p *pairOfFiles) {
	found := p.stamps()
	if found == p.seen && p.refused.Load() == nil || found.youngerThan(settleFor) {
		return // what was refused may be good once the clock is set
	}
	p.seen = found
	cert, err := p.load()
	if err == nil {
		err = f.better(cert, p.current.Load())
	}
	if err != nil {
		why := fmt.Sprintf("the new certificate in %q is not served: %v", p.Cert, err)
		if was := p.refused.Swap(&why); was == nil || *was != why {
			f.log.Error("certificate refused, the old one stays", "file", p.Cert, "err", err)
		}
		return
	}
	p.refused.Store(nil)
	p.current.Store(cert)
	f.log.Info("certificate read again", "file", p.Cert, "names", cert.Leaf.DNSNames, "until", cert.Leaf.NotAfter)
}

// better refuses what would take HTTPS from sites that have it.
func (f *Files) better(cert, old *tls.Certificate) error {
	now := f.now()
	switch {
	case now.After(cert.Leaf.NotAfter):
		return fmt.Errorf("it ended on %s", cert.Leaf.NotAfter.Format(time.DateOnly))
	case now.Before(cert.Leaf.NotBefore):
		return fmt.Errorf("it begins on %s", cert.Leaf.NotBefore.Format(time.DateOnly))
	}
	for _, name := range old.Leaf.DNSNames {
		if !covers(cert.Leaf, name) {
			return fmt.Errorf("it does not name %q, as the one before does (a restart of the gateway takes it all the same)", name)
		}
	}
	return nil
}

// covers reports whether a certificate names what another names, which may be a wildcard.
func covers(cert *x509.Certificate, name string) bool {
	for _, have := range cert.DNSNames {
		if have == name {
			return true
		}
	}
	return cert.VerifyHostname(name) == nil
}

// Problem implements cloud.Certificates.
func (f *Files) Problem(host string) string {
	cert, _ := f.GetCertificate(&tls.ClientHelloInfo{ServerName: host})
	if cert == nil {
		return fmt.Sprintf("no certificate file names %q", host)
	}
	if left := cert.Leaf.NotAfter.Sub(f.now()); left < 0 {
		return "it ended on " + cert.Leaf.NotAfter.Format(time.DateOnly)
	}
	return ""
}

// Problems implements cloud.Certificates.
func (f *Files) Problems() (all []string) {
	for _, p := range f.pairs {
		if why := p.refused.Load(); why != nil {
			all = append(all, *why)
		}
		end := p.current.Load().Leaf.NotAfter
		switch left := end.Sub(f.now()); {
		case left < 0:
			all = append(all, fmt.Sprintf("the certificate in %q ended on %s", p.Cert, end.Format(time.DateOnly)))
		case left < endsSoon:
			all = append(all, fmt.Sprintf("the certificate in %q ends on %s", p.Cert, end.Format(time.DateOnly)))
		}
	}
	return all
}

// load reads a pair and checks that it is a server's, and that strangers on the host have not read its key.
func (p Pair) load() (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(p.Key); err != nil || info.Mode().Perm()&0o007 != 0 {
		return nil, errors.Join(err, fmt.Errorf("everybody on the host may use its key %q; chmod o= it", p.Key))
	}
	if cert.Leaf == nil {
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return nil, err
		}
	}
	if len(cert.Leaf.DNSNames) == 0 {
		return nil, errors.New("it names no host")
	}
	return &cert, nil
}

// stamps tell whether the files of a pair are as they were.
type stamps [2]stamp

type stamp struct {
	modified, changed time.Time
	size              int64
	inode             uint64
}

func (p Pair) stamps() (s stamps) {
	for i, name := range []string{p.Cert, p.Key} {
		info, err := os.Stat(filepath.Clean(name)) // of what a link leads to, as certbot's do
		if err != nil {
			continue // it is being replaced, or gone: what is served stays
		}
		s[i] = stamp{modified: info.ModTime(), size: info.Size()}
		if t, ok := info.Sys().(*syscall.Stat_t); ok {
			s[i].changed, s[i].inode = time.Unix(t.Ctim.Unix()), t.Ino
		}
	}
	return s
}

// youngerThan keeps from reading a pair of which one file is there and the other is to come.
func (s stamps) youngerThan(d time.Duration) bool {
	for _, one := range s {
		if time.Since(one.changed).Abs() < d {
			return true
		}
	}
	return false
}
