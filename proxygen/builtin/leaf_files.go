package builtin

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const hostsDir = "hosts"

// HostFile is the file below dir of a host's certificate with its key; the host may be a wildcard.
func HostFile(dir, host string) string {
	return filepath.Join(dir, hostsDir, strings.ReplaceAll(host, "*", "_")+".pem")
}

// fresh reports whether a certificate that was made then is still to be used. One of a clock that was ahead is not good yet.
func (c *CA) fresh(made time.Time) bool {
	now := c.now()
	return now.Before(made.Add(leafRenew)) && !now.Before(made.Add(hourAgo))
}

// Files writes the certificate of a host with its key to its file below dir, for a proxy outside that reads files, and
// makes another once that is old.
func (c *CA) Files(dir, host string) (name string, err error) {
	name = HostFile(dir, host)
	info, err := os.Stat(name)
	if err == nil && c.fresh(info.ModTime()) {
		return name, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	cert, err := c.GetCertificate(&tls.ClientHelloInfo{ServerName: host})
	if err != nil {
		return "", err
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return "", err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	return name, writeWhole(name, text)
}
