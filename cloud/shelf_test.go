package cloud_test

import (
	"fmt"
	"testing"

	"plil.net/nuage/cloud"
)

// TestAuditShelves: who uploads more files than the audit keeps, and looks and runs as often, drives out no login, no
// refusal and no change.
func TestAuditShelves(t *testing.T) {
	t.Parallel()
	const most = 30
	w := newWorld(t)
	c := w.openWith(nil, func(o *cloud.Options) { o.AuditMost = most })
	defer c.Close()
	ada := w.person(c, "ada")
	site, err := c.CreateSite(t.Context(), ada, cloud.NewSite{Name: "blog", Type: cloud.Static})
	if err != nil {
		t.Fatal(err)
	}
	c.LoggedIn(ada, "")
	c.NotLoggedIn(cloud.Who{Key: "SHA256:stranger"}, "root", cloud.Errorf(cloud.Denied, "nobody has this key"))
	if err := c.DeleteSite(t.Context(), ada, "other"); cloud.KindOf(err) != cloud.NotFound {
		t.Fatal(err)
	}
	files, _, err := c.Files(t.Context(), ada, site.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	for i := range 12 * most {
		files.Done(cloud.Transfer{Action: cloud.FilePut, Path: fmt.Sprintf("/home/site/www/%d", i)})
		if i%4 == 0 {
			if _, err := c.WhoAmI(t.Context(), ada); err != nil {
				t.Fatal(err)
			}
		}
	}
	has, last := map[string]int{}, uint64(0)
	err = c.Audit(t.Context(), operator, cloud.EventFilter{}, false, func(e cloud.Event) error {
		if e.Seq <= last {
			t.Errorf("event %d after %d", e.Seq, last)
		}
		last = e.Seq
		has[string(e.Action)+" "+e.Result]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]int{
		"account.add ok": 1, "site.create ok": 1, "login ok": 1, "site.delete not-found": 1, "login denied": 1, "file.put ok": most, "whoami ok": most,
	} {
		if has[what] != want {
			t.Errorf("%s: %d events, want %d", what, has[what], want)
		}
	}
}

// TestShelfOf: what changes something is with the logins.
func TestShelfOf(t *testing.T) {
	t.Parallel()
	for a, want := range map[cloud.Action]cloud.Shelf{
		"": cloud.Deeds, cloud.Login: cloud.Deeds, cloud.SiteDelete: cloud.Deeds, cloud.KeyAdd: cloud.Deeds, cloud.AccountAs: cloud.Deeds, cloud.Backup: cloud.Deeds,
		cloud.SiteExec: cloud.Uses, cloud.SiteForward: cloud.Uses, cloud.SiteList: cloud.Uses, cloud.AuditRead: cloud.Uses,
		cloud.SiteFiles: cloud.Transfers, cloud.FilePut: cloud.Transfers, cloud.FileGet: cloud.Transfers, cloud.FileRemove: cloud.Transfers,
	} {
		if got := a.Shelf(); got != want {
			t.Errorf("%s: shelf %d, want %d", a, got, want)
		}
	}
}
