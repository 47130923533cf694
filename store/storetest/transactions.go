package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// everything changes a store by every verb.
func everything(tx cloud.Tx) error {
	_, errEvent := tx.Append(cloud.Event{Time: at(9), Account: "b"})
	_, errNext := tx.Next("uid")
	return first(errEvent, errNext,
		tx.DeleteAccount("a"), tx.PutAccount(cloud.Account{Name: "b"}),
		tx.DeleteKey("a"), tx.PutKey(cloud.Key{Fingerprint: "b"}),
		tx.PutSite(cloud.Site{ID: "a", Name: "renamed"}), tx.PutSite(cloud.Site{ID: "b", Name: "a"}), tx.DeleteSite("a"))
}

// dump is all that a store holds.
func dump(tx cloud.Tx) (string, error) {
	accounts, err1 := tx.Accounts()
	keys, err2 := tx.Keys("")
	sites, err3 := tx.Sites()
	var events []cloud.Event
	err4 := tx.Events(cloud.EventFilter{}, func(e cloud.Event) bool {
		events = append(events, e)
		return true
	})
	return fmt.Sprintf("%+v\n%+v\n%+v\n%+v\n", accounts, keys, sites, events), first(err1, err2, err3, err4)
}

func dumpOf(t *testing.T, s cloud.Store) (text string) {
	t.Helper()
	view(t, s, func(tx cloud.Tx) (err error) {
		text, err = dump(tx)
		return err
	})
	return text
}

func fill(t *testing.T, s cloud.Store) {
	t.Helper()
	update(t, s, func(tx cloud.Tx) error {
		_, err := tx.Append(cloud.Event{Time: at(0), Account: "a"})
		return first(err, tx.PutAccount(cloud.Account{Name: "a"}), tx.PutAccount(cloud.Account{Name: "y"}),
			tx.PutAccount(cloud.Account{Name: "z"}), tx.PutKey(cloud.Key{Fingerprint: "a"}),
			tx.PutSite(cloud.Site{ID: "a", Name: "a"}))
	})
}

func failedUpdate(t *testing.T, s cloud.Store) {
	fill(t, s)
	before, refused := dumpOf(t, s), errors.New("refused")
	err := s.Update(t.Context(), func(tx cloud.Tx) error { return first(everything(tx), refused) })
	if err != refused {
		t.Errorf("update returned %v", err)
	}
	same(t, dumpOf(t, s), before)
	update(t, s, func(tx cloud.Tx) error {
		n, err := tx.Next("uid")
		same(t, n, uint64(1))
		return err
	})
}

func panickingUpdate(t *testing.T, s cloud.Store) {
	fill(t, s)
	before := dumpOf(t, s)
	func() {
		defer func() { same(t, recover(), "boom") }()
		err := s.Update(t.Context(), func(tx cloud.Tx) error {
			if err := everything(tx); err != nil {
				return err
			}
			panic("boom")
		})
		t.Errorf("update returned %v", err)
	}()
	same(t, dumpOf(t, s), before)
	func() {
		defer func() { same(t, recover(), "boom") }()
		_ = s.View(t.Context(), func(cloud.Tx) error { panic("boom") })
	}()
	update(t, s, everything)
}

func readsItsOwnWrites(t *testing.T, s cloud.Store) {
	fill(t, s)
	update(t, s, func(tx cloud.Tx) error {
		if err := everything(tx); err != nil {
			return err
		}
		_, err := tx.Account("a")
		kind(t, err, cloud.NotFound)
		_, err = tx.Account("b")
		kind(t, err, "")
		site, err := tx.SiteByName("a")
		same(t, site.ID, "b")
		return err
	})
}

// viewSeesOneState: a view that began before an update does not see it, and neither waits for the other.
func viewSeesOneState(t *testing.T, s cloud.Store) {
	fill(t, s)
	view(t, s, func(tx cloud.Tx) error {
		before, err := dump(tx)
		done := make(chan error, 1)
		go func() {
			done <- s.Update(t.Context(), func(tx cloud.Tx) error {
				return first(tx.PutAccount(cloud.Account{Name: "between"}), everything(tx))
			})
		}()
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		select {
		case updateErr := <-done:
			after, dumpErr := dump(tx)
			same(t, after, before)
			return first(err, updateErr, dumpErr)
		case <-ctx.Done():
			return errors.New("the update waits for the view")
		}
	})
	view(t, s, func(tx cloud.Tx) error {
		_, err := tx.Account("b")
		return err
	})
	update(t, s, func(tx cloud.Tx) error {
		if err := tx.PutAccount(cloud.Account{Name: "unseen"}); err != nil {
			return err
		}
		done := make(chan error, 1)
		go func() {
			done <- s.View(t.Context(), func(tx cloud.Tx) error {
				_, err := tx.Account("unseen")
				kind(t, err, cloud.NotFound)
				return nil
			})
		}()
		return <-done
	})
}

func viewChangesNothing(t *testing.T, s cloud.Store) {
	fill(t, s)
	before := dumpOf(t, s)
	verbs := map[string]func(cloud.Tx) error{
		"PutAccount":    func(tx cloud.Tx) error { return tx.PutAccount(cloud.Account{Name: "b"}) },
		"DeleteAccount": func(tx cloud.Tx) error { return tx.DeleteAccount("a") },
		"PutKey":        func(tx cloud.Tx) error { return tx.PutKey(cloud.Key{Fingerprint: "b"}) },
		"DeleteKey":     func(tx cloud.Tx) error { return tx.DeleteKey("a") },
		"PutSite":       func(tx cloud.Tx) error { return tx.PutSite(cloud.Site{ID: "b", Name: "b"}) },
		"PutSite taken": func(tx cloud.Tx) error { return tx.PutSite(cloud.Site{ID: "b", Name: "a"}) },
		"DeleteSite":    func(tx cloud.Tx) error { return tx.DeleteSite("a") },
		"Append":        func(tx cloud.Tx) error { _, err := tx.Append(cloud.Event{Time: at(1)}); return err },
		"Next":          func(tx cloud.Tx) error { _, err := tx.Next("uid"); return err },
	}
	for name, verb := range verbs {
		t.Run(name, func(t *testing.T) { kind(t, s.View(t.Context(), verb), cloud.Internal) })
	}
	same(t, dumpOf(t, s), before)
}

func errorsAsTheyAre(t *testing.T, s cloud.Store) {
	for _, want := range []error{errors.New("plain"), cloud.Errorf(cloud.Quota, "3 of 3"), context.Canceled} {
		fn := func(cloud.Tx) error { return want }
		if got := s.View(t.Context(), fn); got != want {
			t.Errorf("view returned %v for %v", got, want)
		}
		if got := s.Update(t.Context(), fn); got != want {
			t.Errorf("update returned %v for %v", got, want)
		}
	}
}

// copies: what the caller does to records, before and after, does nothing to the store.
func copies(t *testing.T, s cloud.Store) {
	a, k, site := fullAccount(), fullKey(), fullSite()
	update(t, s, func(tx cloud.Tx) error { return first(tx.PutAccount(a), tx.PutKey(k), tx.PutSite(site)) })
	*a.Exceptions.MaxSites, k.Blob[0], site.Members[0] = 77, 77, "thief"
	for range 2 {
		view(t, s, func(tx cloud.Tx) error {
			gotA, err1 := tx.Account(a.Name)
			gotK, err2 := tx.Key(k.Fingerprint)
			gotS, err3 := tx.SiteByName(site.Name)
			same(t, gotA, fullAccount())
			same(t, gotK, fullKey())
			same(t, gotS, fullSite())
			*gotA.Exceptions.MaxSites, *gotA.Exceptions.CPUs, gotK.Blob[1], gotS.Members[1] = 88, 88, 88, "thief"
			return first(err1, err2, err3)
		})
		view(t, s, func(tx cloud.Tx) error {
			accounts, err1 := tx.Accounts()
			keys, err2 := tx.Keys("")
			sites, err3 := tx.Sites()
			same(t, accounts, []cloud.Account{fullAccount()})
			same(t, keys, []cloud.Key{fullKey()})
			same(t, sites, []cloud.Site{fullSite()})
			*accounts[0].Exceptions.Idle, keys[0].Blob[2], sites[0].Members[0] = 99, 99, "thief"
			return first(err1, err2, err3)
		})
	}
}

func concurrentUpdates(t *testing.T, s cloud.Store) {
	const workers, each = 8, 10
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				err := s.Update(t.Context(), func(tx cloud.Tx) error {
					n, err := tx.Next("n")
					if err != nil {
						return err
					}
					if w%2 == 1 && i%2 == 1 {
						return tx.PutAccount(cloud.Account{Name: fmt.Sprint("m", n)}) // in the midst of others
					}
					_, err = tx.Append(cloud.Event{Time: at(int(n))})
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	events := find(t, s, cloud.EventFilter{})
	view(t, s, func(tx cloud.Tx) error {
		accounts, err := tx.Accounts()
		same(t, len(accounts)+len(events), workers*each)
		return err
	})
	update(t, s, func(tx cloud.Tx) error {
		n, err := tx.Next("n")
		same(t, n, uint64(workers*each+1))
		return err
	})
}

// viewsWhileUpdating: two records that change together are never seen apart.
func viewsWhileUpdating(t *testing.T, s cloud.Store) {
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				err := s.View(t.Context(), func(tx cloud.Tx) error {
					_, errA := tx.Account("pair")
					_, errS := tx.SiteByName("pair")
					if cloud.KindOf(errA) != cloud.KindOf(errS) {
						return fmt.Errorf("seen apart: %v, %v", errA, errS)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for range 15 {
		update(t, s, func(tx cloud.Tx) error {
			return first(tx.PutAccount(cloud.Account{Name: "pair"}), tx.PutSite(cloud.Site{ID: "1", Name: "pair"}))
		})
		update(t, s, func(tx cloud.Tx) error { return first(tx.DeleteAccount("pair"), tx.DeleteSite("1")) })
	}
	close(stop)
	wg.Wait()
}

func contextEndedBefore(t *testing.T, s cloud.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never := func(cloud.Tx) error { t.Error("fn was called"); return nil }
	kind(t, s.View(ctx, never), cloud.Cancelled)
	kind(t, s.Update(ctx, never), cloud.Cancelled)
}

func contextEndsWaiting(t *testing.T, s cloud.Store) {
	update(t, s, func(cloud.Tx) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		waits := &watched{Context: ctx, asked: make(chan struct{})}
		done := make(chan error, 1)
		go func() {
			done <- s.Update(waits, func(cloud.Tx) error { t.Error("fn was called"); return nil })
		}()
		select {
		case <-waits.asked:
		case <-time.After(deadline):
			return errors.New("the wait does not look at its context")
		}
		cancel()
		kind(t, <-done, cloud.Cancelled)
		return nil
	})
}

// watched is a context that tells when somebody waits for its end.
type watched struct {
	context.Context
	once  sync.Once
	asked chan struct{}
}

func (w *watched) Done() <-chan struct{} {
	w.once.Do(func() { close(w.asked) })
	return w.Context.Done()
}

func closed(t *testing.T, s cloud.Store) {
	fill(t, s)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	never := func(cloud.Tx) error { t.Error("fn was called"); return nil }
	kind(t, s.View(t.Context(), never), cloud.Unavailable)
	kind(t, s.Update(t.Context(), never), cloud.Unavailable)
}
