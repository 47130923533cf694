package storetest

import (
	"context"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

func eventKeepsEveryField(t *testing.T, s cloud.Store) {
	want := cloud.Event{
		Seq: 99, Time: at(0), Account: "jean", Key: "SHA256:abc", Address: "[2001:db8::1]:22", Action: cloud.SiteCreate,
		Target: "blog.plil.net", Result: string(cloud.Quota), Detail: "3 of 3 <sites>", Certificate: `"ci" serial 7`,
	}
	update(t, s, func(tx cloud.Tx) error {
		got, err := tx.Append(want)
		want.Seq = 1 // the store's to say
		same(t, got, want)
		return err
	})
	same(t, find(t, s, cloud.EventFilter{}), []cloud.Event{want})
}

func counters(t *testing.T, s cloud.Store) {
	next := func(name string, want ...uint64) {
		t.Helper()
		update(t, s, func(tx cloud.Tx) error {
			for _, n := range want {
				got, err := tx.Next(name)
				same(t, got, n)
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	next("uid", 1, 2, 3)
	next("other", 1)
	next("uid", 4)
}

func sequence(t *testing.T, s cloud.Store) {
	appendAt(t, s, 0, 1)
	refused := cloud.Errorf(cloud.Quota, "no")
	err := s.Update(t.Context(), func(tx cloud.Tx) error {
		if _, err := tx.Append(cloud.Event{}); err != nil {
			return err
		}
		return refused
	})
	kind(t, err, cloud.Quota)
	appendAt(t, s, 2)
	same(t, seqs(find(t, s, cloud.EventFilter{})), []uint64{1, 2, 3})
}

func eventFilters(t *testing.T, s cloud.Store) {
	const count = 300 // many pages, and more than a byte of Seq
	update(t, s, func(tx cloud.Tx) error {
		for i := range count {
			e := cloud.Event{Time: at(i), Account: "account" + strconv.Itoa(i%3), Target: "site" + strconv.Itoa(i%5), Detail: "account0 site0"}
			if _, err := tx.Append(e); err != nil {
				return err
			}
		}
		return nil
	})
	filters := []cloud.EventFilter{
		{}, {After: 1}, {After: 255}, {After: 256}, {After: count - 1}, {After: count}, {After: count + 1}, {After: math.MaxUint64},
		{Since: at(0)}, {Since: at(100)}, {Since: at(100).Add(1)}, {Since: at(count)}, {Since: at(-1)},
		{Account: "account1"}, {Account: "account"}, {Account: "account0 site0"}, {Target: "site4"}, {Target: "SITE4"},
		{Account: "account1", Target: "site4"}, {Account: "account1", Target: "site4", Since: at(50), After: 120},
	}
	all := find(t, s, cloud.EventFilter{})
	same(t, len(all), count)
	for _, f := range filters {
		var want []uint64
		for _, e := range all {
			if f.Match(e) {
				want = append(want, e.Seq)
			}
		}
		if got := seqs(find(t, s, f)); len(got) != len(want) || len(got) > 0 && (got[0] != want[0] || got[len(got)-1] != want[len(want)-1]) {
			t.Errorf("%+v: got %d, want %d", f, got, want)
		}
	}
}

func eventsStop(t *testing.T, s cloud.Store) {
	appendAt(t, s, 0, 1, 2, 3)
	var got []uint64
	view(t, s, func(tx cloud.Tx) error {
		return tx.Events(cloud.EventFilter{After: 1}, func(e cloud.Event) bool {
			got = append(got, e.Seq)
			return len(got) < 2
		})
	})
	same(t, got, []uint64{2, 3})
}

// eventsOutOfTime: clocks get set back, and the filter goes by the time of each event.
func eventsOutOfTime(t *testing.T, s cloud.Store) {
	appendAt(t, s, 10, 50, 20, 60, 30)
	same(t, seqs(find(t, s, cloud.EventFilter{Since: at(30)})), []uint64{2, 4, 5})
	update(t, s, func(tx cloud.Tx) error {
		_, err := tx.Append(cloud.Event{Time: time.Time{}})
		return err
	})
	same(t, len(find(t, s, cloud.EventFilter{})), 6)
}

func appendAt(t *testing.T, s cloud.Store, minutes ...int) {
	t.Helper()
	update(t, s, func(tx cloud.Tx) error {
		for _, m := range minutes {
			if _, err := tx.Append(cloud.Event{Time: at(m)}); err != nil {
				return err
			}
		}
		return nil
	})
}

func find(t *testing.T, s cloud.Store, f cloud.EventFilter) (found []cloud.Event) {
	t.Helper()
	view(t, s, func(tx cloud.Tx) error {
		return tx.Events(f, func(e cloud.Event) bool {
			found = append(found, e)
			return true
		})
	})
	return found
}

func seqs(list []cloud.Event) (out []uint64) {
	for _, e := range list {
		out = append(out, e.Seq)
	}
	return out
}

// eventsDropped: the oldest go, and numbers are not given again.
func eventsDropped(t *testing.T, s cloud.Store) {
	ctx := context.Background()
	err := s.Update(ctx, func(tx cloud.Tx) error {
		for range 5 {
			if _, err := tx.Append(cloud.Event{Account: "a"}); err != nil {
				return err
			}
		}
		return tx.DropEvents(3)
	})
	if err != nil {
		t.Fatal(err)
	}
	var left []uint64
	err = s.Update(ctx, func(tx cloud.Tx) error {
		if err := tx.DropEvents(3); err != nil { // again
			return err
		}
		if _, err := tx.Append(cloud.Event{Account: "a"}); err != nil {
			return err
		}
		return tx.Events(cloud.EventFilter{}, func(e cloud.Event) bool {
			left = append(left, e.Seq)
			return true
		})
	})
	if want := []uint64{4, 5, 6}; err != nil || !slices.Equal(left, want) {
		t.Errorf("left %v, %v; want %v", left, err, want)
	}
}

// eventsTrimmed: each shelf loses its own oldest, all are read as one list, and what was dropped otherwise is counted.
func eventsTrimmed(t *testing.T, s cloud.Store) {
	fill := func(actions ...cloud.Action) {
		t.Helper()
		update(t, s, func(tx cloud.Tx) error {
			for _, a := range actions {
				if _, err := tx.Append(cloud.Event{Action: a, Account: "a"}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	trim := func(most int, want ...uint64) {
		t.Helper()
		update(t, s, func(tx cloud.Tx) error { return tx.TrimEvents(most) })
		same(t, seqs(find(t, s, cloud.EventFilter{})), want)
	}
	trim(0)
	fill(cloud.Login, cloud.FilePut, cloud.SiteExec, cloud.FilePut, cloud.SiteCreate, cloud.FileGet, cloud.SiteInfo, cloud.FileRemove)
	trim(4, 1, 2, 3, 4, 5, 6, 7, 8)
	trim(2, 1, 3, 5, 6, 7, 8)
	same(t, seqs(find(t, s, cloud.EventFilter{After: 3, Account: "a"})), []uint64{5, 6, 7, 8})
	update(t, s, func(tx cloud.Tx) error { return tx.DropEvents(5) })
	fill(cloud.Login, cloud.Login, cloud.FilePut) // 9, 10, 11
	trim(2, 7, 8, 9, 10, 11)
	fill(cloud.Login)
	trim(2, 7, 8, 10, 11, 12)
	trim(0)
	fill(cloud.FilePut)
	trim(1, 13)
}
