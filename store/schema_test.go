package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"plil.net/nuage/cloud"
)

// later is a schema two versions from today's: accounts get their names in capitals, then an exclamation mark.
func later(last error) schema {
	now := today().version
	rename := func(change func(string) string) func(rows) error {
		return func(r rows) error {
			t := tx{rows: r, known: &known{}, writable: true}
			all, err := t.Accounts()
			for _, a := range all {
				old := a.Name
				a.Name = change(old)
				err = errors.Join(err, t.DeleteAccount(old), t.PutAccount(a))
			}
			return err
		}
	}
	s := today()
	s.version = now + 2
	s.steps[now] = rename(strings.ToUpper)
	s.steps[now+1] = func(r rows) error {
		return errors.Join(rename(func(s string) string { return s + "!" })(r), last)
	}
	return s
}

func accountNames(t *testing.T, b *Bolt) (list []string) {
	t.Helper()
	err := b.View(t.Context(), func(tx cloud.Tx) error {
		all, err := tx.Accounts()
		for _, a := range all {
			list = append(list, a.Name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func seed(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "nuage.db")
	b, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	err = b.Update(t.Context(), func(tx cloud.Tx) error {
		return errors.Join(tx.PutAccount(cloud.Account{Name: "jean"}), tx.PutAccount(cloud.Account{Name: "marie"}))
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func reopen(t *testing.T, path string, s schema, want ...string) {
	t.Helper()
	b, err := open(path, Options{}, s)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got := accountNames(t, b); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	path := seed(t)
	reopen(t, path, later(nil), "JEAN!", "MARIE!")
	reopen(t, path, later(nil), "JEAN!", "MARIE!") // once only
}

func TestMigrateWholeOrNot(t *testing.T) {
	t.Parallel()
	path := seed(t)
	_, err := open(path, Options{}, later(errors.New("broken")))
	if cloud.KindOf(err) != cloud.Invalid || !strings.Contains(err.Error(), fmt.Sprintf("could not be brought from schema %d to %d", today().version+1, today().version+2)) {
		t.Errorf("%v", err)
	}
	reopen(t, path, today(), "jean", "marie")
}

func TestMigrateMakesBuckets(t *testing.T) {
	t.Parallel()
	path := seed(t)
	b, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.update(t.Context(), func(r boltRows) error { return r.tx.DeleteBucket([]byte(counters)) }); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if _, err := Open(path, Options{}); cloud.KindOf(err) != cloud.Invalid {
		t.Errorf("without a bucket: %v", err)
	}
	reopen(t, path, later(nil), "JEAN!", "MARIE!")
	reopen(t, path, later(nil), "JEAN!", "MARIE!") // what is up to date has to have them
}

// TestNewer: an older program keeps its hands off, whatever the records look like to it.
func TestNewer(t *testing.T) {
	t.Parallel()
	path := seed(t)
	b, err := open(path, Options{}, later(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.update(t.Context(), func(r boltRows) error { return r.put(accounts, "a", []byte("otherwise")) }); err != nil {
		t.Fatal(err)
	}
	b.Close()
	for what, use := range map[string]func() error{
		"open":  func() error { _, err := Open(path, Options{}); return err },
		"check": func() error { return Check(path) },
	} {
		err := use()
		var e *cloud.Error
		if !errors.As(err, &e) || e.Kind != cloud.Invalid || !strings.Contains(e.Message, fmt.Sprintf("its schema is %d, this one knows up to %d", today().version+2, today().version)) ||
			e.Hint != newerHint {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestFirst opens a store as the first schema left it, where an account was bound to nothing.
func TestFirst(t *testing.T) {
	t.Parallel()
	path := seed(t)
	b, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = b.update(t.Context(), func(r boltRows) error {
		w := tx{rows: r, known: &known{}, writable: true}
		return errors.Join(
			w.write(accounts, "jean", []byte(`{"name":"jean","group":"students","role":"member","disabled":false,"created":"2026-03-01T12:00:00Z","exceptions":{}}`)),
			w.write(keys, "SHA256:k", []byte(`{"fingerprint":"SHA256:k","type":"ssh-ed25519","blob":"AA==","account":"jean","label":"l","origin":"added by operator","created":"2026-03-01T12:00:00Z","used":"0001-01-01T00:00:00Z"}`)),
			w.save(meta, schemaKey, uint64(1)))
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	reopen(t, path, today(), "jean", "marie")
	if b, err = Open(path, Options{}); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	err = b.View(t.Context(), func(tx cloud.Tx) error {
		a, err := tx.Account("jean")
		k, keyErr := tx.Key("SHA256:k")
		if a.School != nil || a.Link || a.Group != "students" || !k.Told.IsZero() || k.Account != "jean" {
			t.Errorf("%+v %+v", a, k)
		}
		return errors.Join(err, keyErr)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestShelves opens a store as schema 3 left it, with the events of all actions in one bucket.
func TestShelves(t *testing.T) {
	t.Parallel()
	path := seed(t)
	b, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	put := func(a cloud.Action) func(cloud.Tx) error {
		return func(tx cloud.Tx) error {
			_, err := tx.Append(cloud.Event{Action: a})
			return err
		}
	}
	err = b.update(t.Context(), func(r boltRows) error {
		w := tx{rows: r, known: &known{}, writable: true}
		for _, a := range []cloud.Action{cloud.Login, cloud.FilePut, cloud.SiteExec, cloud.FilePut} {
			e := cloud.Event{Action: a}
			if e.Seq, err = w.count(meta, sequence); err != nil {
				return err
			}
			text, _ := json.Marshal(e)
			if err := w.write(events, order(e.Seq), append(make([]byte, stampSize), text...)); err != nil {
				return err
			}
		}
		return errors.Join(r.tx.DeleteBucket([]byte(uses)), r.tx.DeleteBucket([]byte(moves)), w.save(meta, schemaKey, uint64(3)))
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	if err := Check(path); err != nil {
		t.Error(err)
	}
	if b, err = Open(path, Options{}); err != nil {
		t.Fatal(err)
	}
	for _, fn := range []func(cloud.Tx) error{
		put(cloud.FileGet), put(cloud.FileGet), put(cloud.Login), put(cloud.FileGet),
		func(tx cloud.Tx) error { return tx.TrimEvents(2) },
	} {
		if err := b.Update(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	var left []uint64
	err = b.View(t.Context(), func(tx cloud.Tx) error {
		return tx.Events(cloud.EventFilter{}, func(e cloud.Event) bool { left = append(left, e.Seq); return true })
	})
	if want := []uint64{4, 6, 7, 8}; err != nil || !reflect.DeepEqual(left, want) {
		t.Errorf("left %v (%v), want %v", left, err, want)
	}
	b.Close()
	if err := Check(path); err != nil {
		t.Error(err)
	}
}

// TestSteps: there is a way from every version that there was.
func TestSteps(t *testing.T) {
	t.Parallel()
	s := today()
	for v := uint64(1); v < s.version; v++ {
		if s.steps[v] == nil {
			t.Errorf("no step from schema %d", v)
		}
	}
	if len(s.steps) != int(s.version)-1 {
		t.Errorf("%d steps for %d versions", len(s.steps), s.version)
	}
}

// TestMismatch: what only a fault of this program could do to a store is seen as well.
func TestMismatch(t *testing.T) {
	t.Parallel()
	put := func(bucket, key, value string) func(rows) error {
		return func(r rows) error {
			return tx{rows: r, known: &known{}, writable: true}.write(bucket, key, []byte(value))
		}
	}
	for name, spoil := range map[string]func(rows) error{
		"name without a site":        put(names, "a", `"1"`),
		"site without a name":        put(sites, "1", `{"id":"1","name":"a"}`),
		"site with another id":       put(sites, "1", `{"id":"2","name":"a"}`),
		"account of another name":    put(accounts, "a", `{"name":"b"}`),
		"key of another fingerprint": put(keys, "a", `{"fingerprint":"b"}`),
		"not JSON":                   put(accounts, "a", `{`),
		"no counter":                 put(counters, "a", `-1`),
		"short event":                put(events, order(1), `{}`),
		"short upload":               put(moves, order(1), `{}`),
		"other event":                put(events, order(1), "\x00\x00\x00\x00\x00\x00\x00\x00"+`{"seq":2}`),
		"wrong seal":                 func(r rows) error { return r.put(accounts, "a", []byte(`{"name":"a"}1234`)) },
		"seal of another":            func(r rows) error { return r.put(accounts, "a", seal(accounts, "b", []byte(`{"name":"a"}`))) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := seed(t)
			b, err := Open(path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := b.update(t.Context(), func(r boltRows) error { return spoil(r) }); err != nil {
				t.Fatal(err)
			}
			b.Close()
			if err := Check(path); cloud.KindOf(err) != cloud.Invalid {
				t.Errorf("check: %v", err)
			}
		})
	}
}
