package gateway_test

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	if _, _, err := gateway.ReadKeys(data); cloud.KindOf(err) != cloud.NotFound {
		t.Errorf("read before they are made: %v", err)
	}
	if left, err := os.ReadDir(data); err != nil || len(left) > 0 {
		t.Errorf("reading made %v %v", left, err)
	}
	made := make([]ssh.Signer, 8)
	var group sync.WaitGroup
	for i := range made { // all at once: one wins, and all have its key
		group.Go(func() {
			key, err := gateway.HostKey(data)
			if err != nil {
				t.Error(err)
				return
			}
			made[i] = key
		})
	}
	group.Wait()
	operator, err := gateway.OperatorKey(data)
	if err != nil || t.Failed() {
		t.Fatal(err)
	}
	host, signer, err := gateway.ReadKeys(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range made {
		if !bytes.Equal(key.PublicKey().Marshal(), host.Marshal()) {
			t.Error("the key changes")
		}
	}
	if public := operator.PublicKey().Marshal(); !bytes.Equal(signer.PublicKey().Marshal(), public) || bytes.Equal(host.Marshal(), public) {
		t.Error("the wrong key")
	}
	for _, name := range []string{"host_ed25519", "operator"} {
		info, err := os.Stat(filepath.Join(data, "ssh", name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	if entries, _ := os.ReadDir(filepath.Join(data, "ssh")); len(entries) != 2 {
		t.Errorf("left over: %v", entries)
	}
}

func TestBadKeys(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(path string) error{
		"empty":    func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"garbage":  func(path string) error { return os.WriteFile(path, []byte("garbage"), 0o600) },
		"cut":      func(path string) error { return os.Truncate(path, 100) },
		"readable": func(path string) error { return os.Chmod(path, 0o640) },
		"directory": func(path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Mkdir(path, 0o700)
		},
	} {
		data := t.TempDir()
		if _, err := gateway.HostKey(data); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(data, "ssh", "host_ed25519")
		if err := spoil(path); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(path)
		_, err := gateway.HostKey(data)
		if cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("%s: %v", name, err)
			continue
		}
		has(t, err.Error(), path)
		if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
			t.Errorf("%s: the key was replaced", name)
		}
	}
}
