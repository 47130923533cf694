package store_test

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/store"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func site(i int) cloud.Site {
	return cloud.Site{
		ID: fmt.Sprintf("id%06d", i*7919%1000003), Name: fmt.Sprintf("site%d.plil.net", i), Owner: fmt.Sprint("account", i/3),
		Members: []string{"marie"}, Type: cloud.PHP, State: cloud.Running, Root: "www", Group: "students",
		Address: netip.AddrFrom4([4]byte{10, 64, byte(i >> 8), byte(i)}), UID: 100000 + i, Created: epoch,
	}
}

func event(i int) cloud.Event {
	each := []cloud.Action{cloud.SiteExec, cloud.Login, cloud.FilePut} // of each shelf
	return cloud.Event{
		Time: epoch.Add(time.Duration(i) * time.Second), Account: fmt.Sprint("account", i%300), Key: "SHA256:" + strings.Repeat("k", 43),
		Address: "192.0.2.17:50122", Action: each[i%len(each)], Target: fmt.Sprintf("site%d.plil.net", i%1000), Result: "ok",
	}
}

// populate puts sites, their accounts and keys, and events, in several transactions that leave free pages behind.
func populate(tb testing.TB, s cloud.Store, sites, events int) {
	tb.Helper()
	change(tb, s, func(tx cloud.Tx) error {
		for i := range sites {
			a := cloud.Account{Name: fmt.Sprint("account", i), Group: "students", Role: cloud.Member, Created: epoch}
			k := cloud.Key{Fingerprint: fmt.Sprintf("SHA256:%043d", i), Blob: make([]byte, 51), Account: a.Name, Created: epoch}
			for _, err := range []error{tx.PutSite(site(i)), tx.PutAccount(a), tx.PutKey(k)} {
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	for at := 0; at < events; at += 1000 {
		change(tb, s, func(tx cloud.Tx) error {
			for i := at; i < min(at+1000, events); i++ {
				if _, err := tx.Append(event(i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	change(tb, s, func(tx cloud.Tx) error {
		for i := 0; i < sites; i += 5 {
			if err := tx.DeleteSite(site(i).ID); err != nil {
				return err
			}
		}
		return nil
	})
}

func change(tb testing.TB, s cloud.Store, fn func(cloud.Tx) error) {
	tb.Helper()
	if err := s.Update(context.Background(), fn); err != nil {
		tb.Fatal(err)
	}
}

// dump is all that a store holds, as text.
func dump(s cloud.Store) (string, error) {
	var b strings.Builder
	err := s.View(context.Background(), func(tx cloud.Tx) error {
		accounts, err := tx.Accounts()
		if err != nil {
			return err
		}
		keys, err := tx.Keys("")
		if err != nil {
			return err
		}
		sites, err := tx.Sites()
		if err != nil {
			return err
		}
		fmt.Fprintln(&b, accounts, keys, sites)
		return tx.Events(cloud.EventFilter{}, func(e cloud.Event) bool {
			fmt.Fprintln(&b, e)
			return true
		})
	})
	return b.String(), err
}

func mustDump(tb testing.TB, s cloud.Store) string {
	tb.Helper()
	text, err := dump(s)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// file makes a populated store and returns its bytes.
func file(tb testing.TB, sites, events int) []byte {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "nuage.db")
	b, err := store.Open(path, store.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	populate(tb, b, sites, events)
	if err := b.Close(); err != nil {
		tb.Fatal(err)
	}
	return read(tb, path)
}

// read reads a file, but not what it has of holes at its end.
func read(tb testing.TB, path string) []byte {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	all, err := io.ReadAll(f)
	if err != nil {
		tb.Fatal(err)
	}
	end := len(all)
	for end > 0 && all[end-1] == 0 {
		end--
	}
	return all[:min(len(all), (end+4095)/4096*4096)]
}

func kind(tb testing.TB, err error, want cloud.Kind) {
	tb.Helper()
	if got := cloud.KindOf(err); got != want {
		tb.Errorf("error %v is of kind %q, want %q", err, got, want)
	}
}
