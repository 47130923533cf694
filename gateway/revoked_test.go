package gateway_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

func TestRevoked(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "revoked")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# ours\n\nserial: 7\nserial:10-12\nid: robot one\n")
	r, err := gateway.OpenRevoked(file)
	if err != nil {
		t.Fatal(err)
	}
	for c, want := range map[cloud.UserCert]bool{
		{Serial: 7}: true, {Serial: 8}: false, {Serial: 10}: true, {Serial: 12}: true, {Serial: 13}: false, {}: false,
		{ID: "robot one"}: true, {ID: "robot"}: false,
	} {
		if got := r.Has(c); got != want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	write("serial: 8 # and more of it\n")
	if !r.Has(cloud.UserCert{ID: "any"}) {
		t.Error("a list that is not understood lets in")
	}
	if said := r.Trouble(); !strings.Contains(said, "line 1") {
		t.Errorf("of a list that is not understood it says %q", said)
	}
	write("id: robot\n")
	if !r.Has(cloud.UserCert{ID: "robot"}) || r.Has(cloud.UserCert{Serial: 7}) {
		t.Error("the list was not read again")
	}
	if said := r.Trouble(); said != "" {
		t.Errorf("of a good list it says %q", said)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if !r.Has(cloud.UserCert{}) {
		t.Error("a list that is gone lets in")
	}
	for _, bad := range []string{"serial: x", "serial: 9-7", "serial:", "serial: 99999999999999999999", "id:", "hash: x", "7"} {
		write(bad)
		if _, err := gateway.OpenRevoked(file); cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := gateway.OpenRevoked(file + "x"); cloud.KindOf(err) != cloud.Invalid {
		t.Error(err)
	}
	if none, err := gateway.OpenRevoked(""); err != nil || none.Has(cloud.UserCert{}) || none.Trouble() != "" {
		t.Errorf("no list: %v", err)
	}
}

// TestRevokedSameTimeRegression: a list with the size and the time of the one before, as rsync -t and packages leave them, was
// taken for that.
func TestRevokedSameTimeRegression(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "revoked")
	old := time.Now().Add(-time.Hour)
	put := func(text string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(file+".new", []byte(text), 0o600), os.Chtimes(file+".new", old, old), os.Rename(file+".new", file)); err != nil {
			t.Fatal(err)
		}
	}
	put("serial: 7\n")
	r, err := gateway.OpenRevoked(file)
	if err != nil {
		t.Fatal(err)
	}
	put("serial: 8\n")
	if !r.Has(cloud.UserCert{Serial: 8}) || r.Has(cloud.UserCert{Serial: 7}) {
		t.Error("the list was not read again")
	}
	for i := range 200 { // within one tick of the file system's clock
		n := 10 + i%80
		if err := os.WriteFile(file, fmt.Appendf(nil, "serial: %d\n", n), 0o600); err != nil {
			t.Fatal(err)
		}
		if !r.Has(cloud.UserCert{Serial: uint64(n)}) {
			t.Fatalf("the list was not read again at change %d", i)
		}
	}
}
