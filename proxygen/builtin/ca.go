package builtin

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"plil.net/nuage/cloud"
)

const (
	caFile  = "ca.pem" // certificate and key in one file: one cannot be without the other
	caLife  = 10 * 365 * 24 * time.Hour
	hourAgo = -time.Hour // clients' clocks may be behind ours
)

// CA issues certificates for the hosts that are served, under a root of its own that people import once.
// The root is not constrained to some names: sites may have domains nobody knew of when it was made.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // of both
	now  func() time.Time

	mu     sync.Mutex
	leaves map[string]*leaf
}

var (
	_ Certificates       = (*CA)(nil)
	_ cloud.Certificates = (*CA)(nil)
)

// OpenCA opens the CA kept in dir, or makes it if there is none. What is there and cannot be used is an
// error: a new root in its place would be trusted by nobody.
func OpenCA(dir string, now func() time.Time) (*CA, error) {
	name := filepath.Join(dir, caFile)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if data, err = makeCA(now()); err == nil {
			err = writeWhole(name, data)
		}
	}
	if err != nil {
		return nil, cloud.Errorf(cloud.Internal, "no certificates: %v", err).Because(err)
	}
	c, err := parseCA(data)
	if err == nil {
		err = checkMode(name)
	}
	if err != nil {
		return nil, cloud.Errorf(cloud.Internal, "%q cannot be used: %v", name, err).
			WithHint("restore it from a backup, or remove it: the next start makes a new CA, and browsers must import its root again").
			Because(err)
	}
	c.now, c.leaves, c.file = now, map[string]*leaf{}, name
	return c, nil
}

// Problem implements cloud.Certificates.
func (c *CA) Problem(string) string {
	switch now := c.now(); {
	case now.After(c.cert.NotAfter):
		return "the root of the local CA ended on " + c.cert.NotAfter.Format(time.DateOnly)
	case now.Before(c.cert.NotBefore):
		return "the root of the local CA begins on " + c.cert.NotBefore.Format(time.DateOnly)
	}
	return ""
}

// Problems implements cloud.Certificates.
func (c *CA) Problems() []string {
	text := c.Problem("")
	if text == "" {
		return nil
	}
	return []string{fmt.Sprintf("%s, and no browser takes it: if the clock is right, remove %q and restart the gateway, which makes "+
		"a new one to import", text, c.file)}
}

// RootPEM is the root certificate, to import in browsers.
func (c *CA) RootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})
}

// rootBegins is before any root was made: who makes one may have a clock that is ahead, and a root is for years.
func rootBegins() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

func makeCA(now time.Time) ([]byte, error) {
	if now.Before(rootBegins()) { // so is the clock of a machine without a battery, until it is set
		now = rootBegins()
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		// The date tells roots of the same name apart in a browser's list.
		Subject:               pkix.Name{CommonName: "nuage local CA " + now.UTC().Format(time.DateOnly), Organization: []string{"nuage"}},
		NotBefore:             rootBegins(),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...), nil
}

func parseCA(data []byte) (*CA, error) {
	first, rest := pem.Decode(data)
	second, rest := pem.Decode(rest)
	if first == nil || second == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("it does not hold one certificate and one key")
	}
	cert, err := x509.ParseCertificate(first.Bytes)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(second.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	switch {
	case !ok || !key.PublicKey.Equal(cert.PublicKey):
		return nil, errors.New("its key is not that of its certificate")
	case !cert.IsCA:
		return nil, errors.New("its certificate is not that of a CA")
	}
	return &CA{cert: cert, key: key}, nil
}

// checkMode refuses a key that others on the host may have read.
func checkMode(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return errors.New("others than its owner may read it; its mode must be 0600")
	}
	return nil
}

// writeWhole puts a file of secrets in place whole or not at all.
func writeWhole(name string, data []byte) error {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(name)+".*") // made with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
