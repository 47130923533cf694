package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// count is a visitor that counts rows by bucket.
type count map[string]int

func (c count) bucket(name string)           { c[name] += 0 }
func (c count) row(name string, _, _ []byte) { c[name]++ }

// variety is a bbolt file with all that the format has: small and large buckets, buckets in buckets, branches on
// branches, values over many pages, free pages.
func variety(tb testing.TB, pageSize int) (path string, want count) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "variety.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, PageSize: pageSize, NoSync: true})
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	want = count{"empty": 0, "small": 3, "large": 900, "long": 2, "outer": 5, "outer/inner": 300, "outer/tiny": 1, "outer/inner/deep": 2}
	for _, keep := range []int{2, 1} {
		err := db.Update(func(t *bbolt.Tx) error {
			for name, n := range want {
				if err := fill(t, strings.Split(name, "/"), n*keep, keep == 1); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return path, want
}

func fill(t *bbolt.Tx, names []string, n int, cut bool) error {
	b, err := t.CreateBucketIfNotExists([]byte(names[0]))
	for _, name := range names[1:] {
		if err == nil {
			b, err = b.CreateBucketIfNotExists([]byte(name))
		}
	}
	size := 30
	if names[0] == "long" {
		size = 50000
	}
	for i := 0; err == nil && i < n; i++ {
		err = b.Put(fmt.Appendf(nil, "key%06d", 2*i), bytes.Repeat([]byte("v"), size))
	}
	for i := n; err == nil && cut && i < 2*n; i++ {
		err = b.Delete(fmt.Appendf(nil, "key%06d", 2*i))
	}
	return err
}

func inspectFile(tb testing.TB, path string, v visitor) error {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return inspect(bytes.NewReader(b), int64(len(b)), v)
}

func TestInspect(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1024, 4096, 16384, 65536} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			path, want := variety(t, size)
			got := count{}
			if err := inspectFile(t, path, got); err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if err := boltCheck(path); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestInspectAcceptsWhatBoltDoes: a sound file is never refused, whatever was done to it.
func TestInspectAcceptsWhatBoltDoes(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	path := filepath.Join(t.TempDir(), "busy.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, PageSize: 1024, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for round := range 300 {
		err := db.Update(func(t *bbolt.Tx) error { return shuffle(r, t, round) })
		if err == nil {
			err = inspectFile(t, path, count{})
		}
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}

// shuffle puts and deletes in a few buckets at random, growing and shrinking them in turns.
func shuffle(r *rand.Rand, t *bbolt.Tx, round int) error {
	b, err := t.CreateBucketIfNotExists([]byte{'a' + byte(r.IntN(3))})
	for n := r.IntN(1 << r.IntN(10)); err == nil && n > 0; n-- {
		key := fmt.Appendf(nil, "%0*d", 1+r.IntN(40), r.IntN(3000))
		if c := b.Cursor(); r.IntN(10) < 3+round/50%2*5 {
			if k, _ := c.Seek(key); k != nil {
				err = c.Delete()
			}
			continue
		}
		err = b.Put(key, make([]byte, r.IntN(1<<r.IntN(12))))
	}
	return err
}

// FuzzInspect: whatever the bytes are, inspect returns, and what it accepts is sound to bbolt.
func FuzzInspect(f *testing.F) {
	path, _ := variety(f, 1024)
	sound, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(0, uint64(0), 0, uint64(0))
	f.Add(1024*3+8, uint64(1), 1024*5+12, uint64(1<<40))
	f.Add(16, uint64(9), len(sound)-1, uint64(3))
	for at := 0; at < len(sound); at += 1024 * 17 {
		f.Add(at+8, uint64(2), at+16, uint64(0x0102030405))
	}
	f.Fuzz(func(t *testing.T, at1 int, xor1 uint64, at2 int, xor2 uint64) {
		b := bytes.Clone(sound)
		twist(b, at1, xor1)
		twist(b, at2, xor2)
		if inspect(bytes.NewReader(b), int64(len(b)), count{}) != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "twisted.db")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := boltCheck(path); err != nil {
			t.Error(err)
		}
		if err := changeAndInspect(t, path, xor1^xor2); err != nil {
			t.Errorf("after changes: %v", err)
		}
	})
}

// changeAndInspect lets bbolt work on a file for a while.
func changeAndInspect(t *testing.T, path string, seed uint64) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, NoSync: true})
	if err != nil {
		return err
	}
	defer db.Close()
	r := rand.New(rand.NewPCG(seed, 3))
	for i := 0; err == nil && i < 2; i++ {
		err = db.Update(func(t *bbolt.Tx) error {
			return errors.Join(shuffle(r, t, i), fill(t, []string{"large"}, r.IntN(900), i%2 == 0))
		})
	}
	return errors.Join(err, inspectFile(t, path, count{}))
}

func twist(b []byte, at int, xor uint64) {
	for i := range 8 {
		if at >= 0 && at+i < len(b) {
			b[at+i] ^= byte(xor >> (8 * i))
		}
	}
}

// harmless is what bbolt's check finds fault with and bbolt itself never looks at.
var harmless = regexp.MustCompile(`unreachable unfreed$|assertion failed: (page [01]: has unexpected type|Page expected to be: [01],)`)

// boltCheck is bbolt's own opinion.
func boltCheck(path string) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, NoSync: true})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(func(t *bbolt.Tx) (first error) {
		for err := range t.Check() {
			if first == nil && !harmless.MatchString(err.Error()) {
				first = err
			}
		}
		return first
	})
}
