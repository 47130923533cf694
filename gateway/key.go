package gateway

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
)

// HostKey loads the key that the gateway shows to clients from the data directory, and makes it where there is
// none. One that is damaged or that others can read is an Invalid error, never replaced: clients have pinned it.
func HostKey(data string) (ssh.Signer, error) {
	return loadOrMake(hostKeyPath(data), "nuage host key", newEd25519)
}

// rsaHostKey does the same for the key that is shown to clients that do not know Ed25519. It signs with SHA-2 only.
func rsaHostKey(data string) (ssh.Signer, error) {
	key, err := loadOrMake(rsaHostKeyPath(data), "nuage host key", newRSA)
	if err != nil {
		return nil, err
	}
	return sha2Only(key)
}

// nextHostKeys loads the keys that an admin has put beside those in use, with names that end in ".next".
func nextHostKeys(data string) (keys []ssh.Signer, err error) {
	paths, err := filepath.Glob(filepath.Join(data, "ssh", "host_*.next"))
	for _, path := range paths {
		key, err := readKey(path)
		if err == nil {
			key, err = sha2Only(key)
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, err
}

// sha2Only takes SHA-1 from what an RSA key signs with (RFC 8332).
func sha2Only(key ssh.Signer) (ssh.Signer, error) {
	with, ok := key.(ssh.AlgorithmSigner)
	if !ok || key.PublicKey().Type() != ssh.KeyAlgoRSA {
		return key, nil
	}
	return ssh.NewSignerWithAlgorithms(with, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256})
}

// OperatorKey does the same for the key of "nuage ctl". Who can read it is the operator.
func OperatorKey(data string) (ssh.Signer, error) {
	return loadOrMake(operatorKeyPath(data), "nuage operator", newEd25519)
}

// ReadKeys loads both keys for "nuage ctl" and makes none: NotFound where no gateway has ever run.
func ReadKeys(data string) (host ssh.PublicKey, operator ssh.Signer, err error) {
	signer, err := readKey(hostKeyPath(data))
	if err != nil {
		return nil, nil, keyMissing(err, data)
	}
	operator, err = readKey(operatorKeyPath(data))
	return signer.PublicKey(), operator, keyMissing(err, data)
}

func hostKeyPath(data string) string     { return filepath.Join(data, "ssh", "host_ed25519") }
func rsaHostKeyPath(data string) string  { return filepath.Join(data, "ssh", "host_rsa") }
func operatorKeyPath(data string) string { return filepath.Join(data, "ssh", "operator") }

func keyMissing(err error, data string) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return cloud.Errorf(cloud.NotFound, "%q is not the data directory of a gateway", data).
			WithHint("name it with --data, or start one with nuage serve --data %s", data).Because(err)
	case errors.Is(err, fs.ErrPermission):
		return cloud.Errorf(cloud.Denied, "you may not read the operator key in %q", data).
			WithHint("run it as root or as the user that nuage serve runs as").Because(err)
	}
	return err
}

func loadOrMake(path, comment string, generate func() (crypto.PrivateKey, error)) (ssh.Signer, error) {
	signer, err := readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return signer, err
	}
	if err := makeKey(path, comment, generate); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make key %s: %w", path, err)
	}
	return readKey(path)
}

const maxKeyFile = 64 << 10

func readKey(path string) (ssh.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, cloud.Errorf(cloud.Invalid, "%q is not a key file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, cloud.Errorf(cloud.Invalid, "others can read the key %q (mode %04o)", path, mode).
			WithHint("chmod 600 %s; if others may have read it, replace it", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, cloud.Errorf(cloud.Invalid, "the key %q is damaged", path).
			WithHint("restore it from a backup; a new one is made if the file is moved away").Because(err)
	}
	return signer, nil
}

const rsaBits = 3072 // NIST SP 800-57: good beyond 2030

func newEd25519() (crypto.PrivateKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return private, err
}

func newRSA() (crypto.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, rsaBits) }

// makeKey writes a new key whole or not at all, and never over another: fs.ErrExist if somebody was faster.
func makeKey(path, comment string, generate func() (crypto.PrivateKey, error)) error {
	private, err := generate()
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	draft, err := os.CreateTemp(dir, ".key-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	if _, err := draft.Write(pem.EncodeToMemory(block)); err != nil {
		return errors.Join(err, draft.Close())
	}
	if err := errors.Join(draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := os.Link(draft.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
