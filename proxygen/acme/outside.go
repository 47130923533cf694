package acme

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
)

const outsideDir = "outside"

// Files names the file of a host's certificate and its key, for a proxy outside; ok is false as long as there is none.
// Asked for a host that needs one of its own, it sees to it that there will be, while Run runs.
func (i *Issuer) Files(host string) (cert, key string, ok bool) {
	name := cmp.Or(i.covered(host), host)
	if name == host {
		i.wants.add(host)
	}
	file := i.file(name)
	if err := i.renew(name, file); err != nil {
		i.Log.Error("certificate not written", "name", name, "err", err)
	}
	_, err := os.Stat(file)
	return file, file, err == nil
}

func (i *Issuer) file(name string) string {
	return filepath.Join(i.Dir, outsideDir, strings.ReplaceAll(name, "*", "_")+".pem")
}

// renew writes the file where the storage has another certificate, or the only one: the file has its time. The storage has
// certificate and key in two files, which change one after the other: a proxy that reloads in between would see what does not fit.
func (i *Issuer) renew(name, file string) error {
	issuer := i.solver.IssuerKey()
	chain, secret := i.storage.Filename(certmagic.StorageKeys.SiteCert(issuer, name)), i.storage.Filename(certmagic.StorageKeys.SitePrivateKey(issuer, name))
	stored, err := os.Stat(chain)
	if err != nil {
		return nil // none yet
	}
	if there, err := os.Stat(file); err == nil && there.ModTime().Equal(stored.ModTime()) {
		return nil
	}
	cert, err1 := os.ReadFile(chain)
	key, err2 := os.ReadFile(secret)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		return nil // half written: the next look finds the other half
	}
	return writeSecret(file, append(bytes.TrimRight(cert, "\n"), append([]byte("\n"), key...)...), stored.ModTime())
}

// wrote says that the storage has a new certificate.
func (i *Issuer) wrote(name string) {
	if err := i.renew(name, i.file(name)); err != nil {
		i.Log.Error("certificate not written", "name", name, "err", err)
	}
	i.Changed()
}

// writeSecret puts a file that only its owner may read in place whole, with a time of writing.
func writeSecret(name string, text []byte, written time.Time) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), os.Chtimes(f.Name(), written, written)); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
