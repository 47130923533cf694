package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// TestKnownRecords are those of the file: after a change, after a change that was undone, and after a deletion. What one
// reader does with them no other sees.
func TestKnownRecords(t *testing.T) {
	t.Parallel()
	m, ctx := NewMemory(), context.Background()
	idle, sites := time.Minute, 3
	put := func(owner string, after error) {
		err := m.Update(ctx, func(tx cloud.Tx) error {
			err := tx.PutSite(cloud.Site{ID: "s", Name: "blog.plil.net", Owner: owner, Members: []string{"marie"}, Idle: &idle})
			if err == nil {
				err = tx.PutAccount(cloud.Account{Name: "jean", Group: owner, Exceptions: cloud.Exceptions{MaxSites: &sites},
					School: &cloud.SchoolLogin{Subject: "1"}})
			}
			// Read here what may never be.
			if _, bad := tx.Sites(); bad != nil {
				return bad
			}
			if _, bad := tx.Account("jean"); bad != nil {
				return bad
			}
			return errors.Join(err, after)
		})
		if !errors.Is(err, after) {
			t.Fatal(err)
		}
	}
	is := func(owner string) {
		t.Helper()
		for range 2 {
			err := m.View(ctx, func(tx cloud.Tx) error {
				all, err1 := tx.Sites()
				one, err2 := tx.Site("s")
				named, err3 := tx.SiteByName("blog.plil.net")
				jean, err4 := tx.Account("jean")
				if err := errors.Join(err1, err2, err3, err4); err != nil {
					return err
				}
				for _, s := range []cloud.Site{all[0], one, named} {
					if s.Owner != owner || s.Members[0] != "marie" || *s.Idle != time.Minute {
						t.Errorf("got %+v, want owner %q", s, owner)
					}
					s.Members[0], *s.Idle = "spoiled", 0
				}
				if jean.Group != owner || *jean.Exceptions.MaxSites != 3 || jean.School.Subject != "1" {
					t.Errorf("got %+v, want group %q", jean, owner)
				}
				*jean.Exceptions.MaxSites, jean.School.Subject = 0, "spoiled"
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	put("one", nil)
	is("one")
	put("two", nil)
	is("two")
	put("three", errors.New("undone"))
	is("two")

	err := m.Update(ctx, func(tx cloud.Tx) error { return errors.Join(tx.DeleteSite("s"), tx.DeleteAccount("jean")) })
	if err != nil {
		t.Fatal(err)
	}
	if n := m.known.sites.size() + m.known.ids.size() + m.known.accounts.size(); n != 0 {
		t.Errorf("%d records that are gone are remembered", n)
	}
	_ = m.View(ctx, func(tx cloud.Tx) error {
		if _, err := tx.SiteByName("blog.plil.net"); cloud.KindOf(err) != cloud.NotFound {
			t.Errorf("a site that is gone is found: %v", err)
		}
		return nil
	})
}
