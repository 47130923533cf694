package store_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"plil.net/nuage/cloud"
	"plil.net/nuage/store"
)

const page = 4096

// damage is one way to spoil a file.
type damage struct {
	name  string
	spoil func(r *rand.Rand, b []byte) []byte
	times int
	stale bool // may bring back what a page was some transactions ago, which nothing tells from what it is
}

var damages = []damage{
	{"truncated", func(r *rand.Rand, b []byte) []byte { return b[:r.IntN(len(b))] }, 60, false},
	{"truncated at a page", func(r *rand.Rand, b []byte) []byte { return b[:r.IntN(len(b)/page)*page] }, 20, false},
	{"truncated and as long as before", func(r *rand.Rand, b []byte) []byte { clear(b[r.IntN(len(b)):]); return b }, 40, false},
	{"bit flipped", func(r *rand.Rand, b []byte) []byte { b[r.IntN(len(b))] ^= 1 << r.IntN(8); return b }, 150, false},
	{"bit flipped at the head of a page", func(r *rand.Rand, b []byte) []byte {
		b[r.IntN(len(b)/page)*page+r.IntN(80)] ^= 1 << r.IntN(8)
		return b
	}, 150, false},
	{"word overwritten", func(r *rand.Rand, b []byte) []byte {
		binary.NativeEndian.PutUint64(b[r.IntN(len(b)/8)*8:], r.Uint64()>>r.IntN(64))
		return b
	}, 60, false},
	{"page of noise", func(r *rand.Rand, b []byte) []byte {
		at := r.IntN(len(b)/page) * page
		for i := range page {
			b[at+i] = byte(r.Uint32())
		}
		return b
	}, 60, false},
	{"page of zeros", func(r *rand.Rand, b []byte) []byte {
		at := r.IntN(len(b)/page) * page
		clear(b[at : at+page])
		return b
	}, 60, false},
	{"page in the place of another", func(r *rand.Rand, b []byte) []byte {
		from, to := r.IntN(len(b)/page)*page, r.IntN(len(b)/page)*page
		copy(b[to:to+page], b[from:from+page])
		return b
	}, 60, false},
	{"page in the place of another, renumbered", func(r *rand.Rand, b []byte) []byte {
		from, to := r.IntN(len(b)/page)*page, r.IntN(len(b)/page)*page
		copy(b[to+8:to+page], b[from+8:from+page])
		return b
	}, 150, true},
}

// TestDamage: a damaged store either holds all that it held, now or one transaction ago, or says so.
func TestDamage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nuage.db")
	b := open(t, path)
	populate(t, b, 120, 1200)
	older := mustDump(t, b)
	change(t, b, func(tx cloud.Tx) error { return tx.PutSite(site(5000)) })
	newer := mustDump(t, b)
	b.Close()
	sound := read(t, path)

	for seed, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			r, dir, refused := rand.New(rand.NewPCG(1, uint64(seed))), t.TempDir(), 0
			for i := range d.times {
				path := filepath.Join(dir, fmt.Sprint(i))
				if err := os.WriteFile(path, d.spoil(r, bytes.Clone(sound)), 0o600); err != nil {
					t.Fatal(err)
				}
				states := []string{older, newer}
				if d.stale {
					states = nil
				}
				if !opens(t, path, states) {
					refused++
				}
				os.Remove(path)
			}
			t.Logf("%d of %d refused", refused, d.times)
			if refused == 0 {
				t.Error("no damage was seen")
			}
		})
	}
}

// opens opens the file and reports whether it could be used. If so, it holds one of the states, if any are
// given, and is sound also after changes.
func opens(t *testing.T, path string, states []string) bool {
	t.Helper()
	b, err := store.Open(path, store.Options{})
	if err != nil {
		isDamaged(t, path, err)
		return false
	}
	defer b.Close()
	text := mustDump(t, b)
	if states != nil && !slices.Contains(states, text) {
		t.Errorf("%s: opened with other content", path)
	}
	for i := range 2 {
		change(t, b, func(tx cloud.Tx) error { return errors.Join(tx.PutSite(site(6000+i)), tx.DeleteSite(site(10*i).ID)) })
	}
	b.Close()
	if err := store.Check(path); err != nil {
		t.Errorf("after a change: %v", err)
	}
	return true
}

func isDamaged(t *testing.T, path string, err error) {
	t.Helper()
	var e *cloud.Error
	if !errors.As(err, &e) || e.Kind != cloud.Invalid || !strings.Contains(e.Message, "damaged") ||
		e.Hint != "bring back a backup: nuage restore --data "+filepath.Dir(path)+" FILE" {
		t.Errorf("%s: %#v", path, err)
	}
}

func TestNotAStore(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("not a store\n"), 10000)
	for name, content := range map[string][]byte{"empty": {}, "short": long[:7], "text": long, "zeros": make([]byte, 1<<20), "a page": long[:page]} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "nuage.db")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := store.Open(path, store.Options{})
			isDamaged(t, path, err)
			kind(t, store.Check(path), cloud.Invalid)
			if got, _ := os.ReadFile(path); !bytes.Equal(got, content) {
				t.Error("the file was changed")
			}
		})
	}
}

// TestDamageLeavesNoLock: after a refusal the file can be replaced and opened.
func TestDamageLeavesNoLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nuage.db")
	sound := file(t, 10, 10)
	if err := os.WriteFile(path, sound[:len(sound)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(path, store.Options{}); err == nil {
		t.Fatal("opened")
	}
	if err := store.Restore(path, bytes.NewReader(sound)); err != nil {
		t.Fatal(err)
	}
	if err := open(t, path).View(context.Background(), func(tx cloud.Tx) error { _, err := tx.Site(site(1).ID); return err }); err != nil {
		t.Error(err)
	}
}
