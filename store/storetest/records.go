package storetest

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

func fullAccount() cloud.Account {
	sites, memory, cpus, disk, idle := 0, int64(1)<<40, 0.1, int64(-1), time.Duration(1)
	return cloud.Account{
		Name: "jean.dupont", Group: "students", Role: cloud.Admin, Disabled: true, Created: at(0),
		School:     &cloud.SchoolLogin{Issuer: "https://sso.plil.net", Subject: "4f/é", Name: "Jean", Group: "teachers", Admin: true, At: at(2)},
		Link:       true,
		Keyed:      at(3),
		Exceptions: cloud.Exceptions{MaxSites: &sites, Memory: &memory, CPUs: &cpus, Disk: &disk, Idle: &idle},
	}
}

func fullKey() cloud.Key {
	return cloud.Key{
		Fingerprint: "SHA256:abc/+", Type: "ssh-ed25519", Blob: []byte{0, 1, 0xff, 0}, Account: "jean",
		Label: "d'été <&> \u2028", Origin: "added by \"prof\"", Created: at(0), Used: at(1), Told: at(2),
	}
}

func fullSite() cloud.Site {
	return cloud.Site{
		ID: "id1", Name: "blog.plil.net", Owner: "jean", Members: []string{"marie", "paul"}, Type: cloud.PHP,
		State: cloud.Failed, Reason: "no such image", Root: "www/public", Group: "students",
		Address: netip.MustParseAddr("10.64.0.2"), UID: 100001, Created: at(0),
		HTTPS: cloud.ForceHTTPS, Main: "www.example.org",
	}
}

func accountKeepsEveryField(t *testing.T, s cloud.Store) {
	want, bare := fullAccount(), cloud.Account{Name: "bare"}
	update(t, s, func(tx cloud.Tx) error {
		if err := tx.PutAccount(bare); err != nil {
			return err
		}
		return tx.PutAccount(want)
	})
	view(t, s, func(tx cloud.Tx) error {
		got, err := tx.Account(want.Name)
		same(t, got, want)
		all, listErr := tx.Accounts()
		same(t, all, []cloud.Account{bare, want})
		return first(err, listErr)
	})
}

func keyKeepsEveryField(t *testing.T, s cloud.Store) {
	want, bare := fullKey(), cloud.Key{Fingerprint: "SHA256:bare"}
	update(t, s, func(tx cloud.Tx) error {
		if err := tx.PutKey(bare); err != nil {
			return err
		}
		return tx.PutKey(want)
	})
	view(t, s, func(tx cloud.Tx) error {
		got, err := tx.Key(want.Fingerprint)
		same(t, got, want)
		all, listErr := tx.Keys("")
		same(t, all, []cloud.Key{bare, want})
		return first(err, listErr)
	})
}

func siteKeepsEveryField(t *testing.T, s cloud.Store) {
	want, bare := fullSite(), cloud.Site{ID: "id0", Name: "bare.plil.net", Members: []string{}}
	update(t, s, func(tx cloud.Tx) error {
		if err := tx.PutSite(bare); err != nil {
			return err
		}
		return tx.PutSite(want)
	})
	view(t, s, func(tx cloud.Tx) error {
		got, err := tx.Site(want.ID)
		same(t, got, want)
		named, nameErr := tx.SiteByName(want.Name)
		same(t, named, want)
		all, listErr := tx.Sites()
		same(t, all, []cloud.Site{bare, want})
		return first(err, nameErr, listErr)
	})
}

func emptyStore(t *testing.T, s cloud.Store) {
	view(t, s, func(tx cloud.Tx) error {
		_, err := tx.Account("x")
		kind(t, err, cloud.NotFound)
		_, err = tx.Account("")
		kind(t, err, cloud.NotFound)
		_, err = tx.Key("x")
		kind(t, err, cloud.NotFound)
		_, err = tx.Site("x")
		kind(t, err, cloud.NotFound)
		_, err = tx.SiteByName("x")
		kind(t, err, cloud.NotFound)
		accounts, err1 := tx.Accounts()
		keys, err2 := tx.Keys("")
		sites, err3 := tx.Sites()
		if len(accounts)+len(keys)+len(sites) != 0 {
			t.Errorf("an empty store has %v %v %v", accounts, keys, sites)
		}
		return first(err1, err2, err3, tx.Events(cloud.EventFilter{}, func(e cloud.Event) bool {
			t.Errorf("an empty store has event %+v", e)
			return true
		}))
	})
}

func deleted(t *testing.T, s cloud.Store) {
	a, k, site := fullAccount(), fullKey(), fullSite()
	update(t, s, func(tx cloud.Tx) error {
		return first(tx.PutAccount(a), tx.PutKey(k), tx.PutSite(site))
	})
	for range 2 { // the second time there is nothing to delete
		update(t, s, func(tx cloud.Tx) error {
			return first(tx.DeleteAccount(a.Name), tx.DeleteKey(k.Fingerprint), tx.DeleteSite(site.ID))
		})
	}
	emptyStore(t, s)
	view(t, s, func(tx cloud.Tx) error {
		_, err := tx.SiteByName(site.Name)
		kind(t, err, cloud.NotFound)
		return nil
	})
}

func sorted(t *testing.T, s cloud.Store) {
	update(t, s, func(tx cloud.Tx) error {
		return first(
			tx.PutAccount(cloud.Account{Name: "b"}), tx.PutAccount(cloud.Account{Name: "a.z"}), tx.PutAccount(cloud.Account{Name: "a"}),
			tx.PutSite(cloud.Site{ID: "1", Name: "z.plil.net"}), tx.PutSite(cloud.Site{ID: "3", Name: "a.plil.net"}),
			tx.PutSite(cloud.Site{ID: "2", Name: "m.plil.net"}),
			tx.PutKey(cloud.Key{Fingerprint: "a", Created: at(3)}), tx.PutKey(cloud.Key{Fingerprint: "c", Created: at(1)}),
			tx.PutKey(cloud.Key{Fingerprint: "b", Created: at(2)}), tx.PutKey(cloud.Key{Fingerprint: "aa", Created: at(2)}))
	})
	view(t, s, func(tx cloud.Tx) error {
		accounts, err1 := tx.Accounts()
		same(t, each(accounts, func(a cloud.Account) string { return a.Name }), []string{"a", "a.z", "b"})
		sites, err2 := tx.Sites()
		same(t, each(sites, func(s cloud.Site) string { return s.ID }), []string{"3", "2", "1"})
		keys, err3 := tx.Keys("")
		same(t, each(keys, func(k cloud.Key) string { return k.Fingerprint }), []string{"c", "aa", "b", "a"})
		return first(err1, err2, err3)
	})
}

func keysOfOneAccount(t *testing.T, s cloud.Store) {
	update(t, s, func(tx cloud.Tx) error {
		return first(
			tx.PutKey(cloud.Key{Fingerprint: "1", Account: "jean", Created: at(2)}),
			tx.PutKey(cloud.Key{Fingerprint: "2", Account: "jeanne", Created: at(1)}),
			tx.PutKey(cloud.Key{Fingerprint: "3", Account: "jean", Created: at(0)}))
	})
	view(t, s, func(tx cloud.Tx) error {
		keys, err := tx.Keys("jean")
		same(t, each(keys, func(k cloud.Key) string { return k.Fingerprint }), []string{"3", "1"})
		none, noneErr := tx.Keys("nobody")
		same(t, len(none), 0)
		return first(err, noneErr)
	})
}

func nameTaken(t *testing.T, s cloud.Store) {
	putSites(t, s, "1", "a.plil.net", "2", "b.plil.net")
	for _, site := range []cloud.Site{{ID: "3", Name: "a.plil.net"}, {ID: "2", Name: "a.plil.net", Owner: "thief"}} {
		err := s.Update(t.Context(), func(tx cloud.Tx) error { return tx.PutSite(site) })
		kind(t, err, cloud.Conflict)
	}
	// A refusal that the caller gets over leaves nothing behind.
	update(t, s, func(tx cloud.Tx) error {
		kind(t, tx.PutSite(cloud.Site{ID: "2", Name: "a.plil.net"}), cloud.Conflict)
		return nil
	})
	view(t, s, func(tx cloud.Tx) error {
		sites, err := tx.Sites()
		same(t, sites, []cloud.Site{{ID: "1", Name: "a.plil.net"}, {ID: "2", Name: "b.plil.net"}})
		return err
	})
}

func nameReleased(t *testing.T, s cloud.Store) {
	putSites(t, s, "1", "old.plil.net", "2", "gone.plil.net")
	putSites(t, s, "1", "new.plil.net")
	update(t, s, func(tx cloud.Tx) error { return tx.DeleteSite("2") })
	view(t, s, func(tx cloud.Tx) error {
		for _, name := range []string{"old.plil.net", "gone.plil.net"} {
			_, err := tx.SiteByName(name)
			kind(t, err, cloud.NotFound)
		}
		return nil
	})
	putSites(t, s, "3", "old.plil.net", "4", "gone.plil.net", "1", "new.plil.net")
	view(t, s, func(tx cloud.Tx) error {
		site, err := tx.SiteByName("new.plil.net")
		same(t, site.ID, "1")
		return err
	})
}

func namesSwapped(t *testing.T, s cloud.Store) {
	putSites(t, s, "1", "a", "2", "b")
	putSites(t, s, "1", "between", "2", "a", "1", "b")
	view(t, s, func(tx cloud.Tx) error {
		sites, err := tx.Sites()
		same(t, sites, []cloud.Site{{ID: "2", Name: "a"}, {ID: "1", Name: "b"}})
		return err
	})
}

func noName(t *testing.T, s cloud.Store) {
	update(t, s, func(tx cloud.Tx) error {
		kind(t, tx.PutAccount(cloud.Account{}), cloud.Internal)
		kind(t, tx.PutKey(cloud.Key{}), cloud.Internal)
		kind(t, tx.PutSite(cloud.Site{Name: "a"}), cloud.Internal)
		kind(t, tx.PutSite(cloud.Site{ID: "a"}), cloud.Internal)
		_, err := tx.Next("")
		kind(t, err, cloud.Internal)
		return nil
	})
	emptyStore(t, s)
}

func each[T any](all []T, name func(T) string) (list []string) {
	for x := range slices.Values(all) {
		list = append(list, name(x))
	}
	return list
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
