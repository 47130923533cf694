// Package storetest holds what every cloud.Store must do, as a suite for its tests. It does not test what
// only some stores have: files, backups, damage.
package storetest

import (
	"reflect"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

var suite = []struct {
	name string
	run  func(t *testing.T, s cloud.Store)
}{
	{"AccountKeepsEveryField", accountKeepsEveryField},
	{"KeyKeepsEveryField", keyKeepsEveryField},
	{"SiteKeepsEveryField", siteKeepsEveryField},
	{"DomainKeepsEveryField", domainKeepsEveryField},
	{"DomainOfSeveral", domainOfSeveral},
	{"EventKeepsEveryField", eventKeepsEveryField},
	{"EmptyStore", emptyStore},
	{"Deleted", deleted},
	{"Sorted", sorted},
	{"KeysOfOneAccount", keysOfOneAccount},
	{"NameTaken", nameTaken},
	{"NameReleased", nameReleased},
	{"NamesSwapped", namesSwapped},
	{"NoName", noName},
	{"Counters", counters},
	{"Sequence", sequence},
	{"EventFilters", eventFilters},
	{"EventsStop", eventsStop},
	{"EventsOutOfTime", eventsOutOfTime},
	{"EventsDropped", eventsDropped},
	{"EventsTrimmed", eventsTrimmed},

	{"FailedUpdate", failedUpdate},
	{"PanickingUpdate", panickingUpdate},
	{"ReadsItsOwnWrites", readsItsOwnWrites},
	{"ViewSeesOneState", viewSeesOneState},
	{"ViewChangesNothing", viewChangesNothing},
	{"ErrorsAsTheyAre", errorsAsTheyAre},
	{"Copies", copies},
	{"ConcurrentUpdates", concurrentUpdates},
	{"ViewsWhileUpdating", viewsWhileUpdating},
	{"ContextEndedBefore", contextEndedBefore},
	{"ContextEndsWaiting", contextEndsWaiting},
	{"Closed", closed},
}

// Run runs the suite. open gives an empty store for each test; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) cloud.Store) {
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			c.run(t, s)
		})
	}
}

// deadline is how long a test waits for what has to happen.
const deadline = time.Minute

var epoch = time.Date(2026, 3, 1, 12, 30, 15, 123456789, time.UTC)

func at(minutes int) time.Time { return epoch.Add(time.Duration(minutes) * time.Minute) }

func update(t *testing.T, s cloud.Store, fn func(cloud.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatalf("update: %v", err)
	}
}

func view(t *testing.T, s cloud.Store, fn func(cloud.Tx) error) {
	t.Helper()
	if err := s.View(t.Context(), fn); err != nil {
		t.Fatalf("view: %v", err)
	}
}

// putSites makes sites out of pairs of id and name.
func putSites(t *testing.T, s cloud.Store, pairs ...string) {
	t.Helper()
	update(t, s, func(tx cloud.Tx) error {
		for i := 0; i < len(pairs); i += 2 {
			if err := tx.PutSite(cloud.Site{ID: pairs[i], Name: pairs[i+1]}); err != nil {
				return err
			}
		}
		return nil
	})
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func kind(t *testing.T, err error, want cloud.Kind) {
	t.Helper()
	if got := cloud.KindOf(err); got != want {
		t.Errorf("error %v is of kind %q, want %q", err, got, want)
	}
}
