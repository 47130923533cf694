package cloud_test

import (
	"context"
	"os"
	"testing"

	"plil.net/nuage/cloud"
)

// TestAccessEndsWithTheRight: who has a home open is told once it is taken away.
func TestAccessEndsWithTheRight(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	for name, test := range map[string]struct {
		take func(who cloud.Who, site string) error
		want cloud.Kind
	}{
		"nothing": {func(cloud.Who, string) error { return nil }, ""},
		"site":    {func(who cloud.Who, site string) error { return c.DeleteSite(ctx, who, site) }, cloud.NotFound},
		"account": {func(who cloud.Who, _ string) error { return c.DisableAccount(ctx, operator, who.Account) }, cloud.Denied},
		"key": {func(who cloud.Who, _ string) error {
			_, err := c.RemoveKey(ctx, operator, who.Account, who.Key)
			return err
		}, cloud.Denied},
	} {
		who := w.person(c, name)
		w.site(c, who, "of-"+name, cloud.Static)
		a, _, err := c.Files(ctx, who, "of-"+name)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if err := a.Check(ctx); err != nil {
			t.Errorf("%s: before: %v", name, err)
		}
		if err := test.take(who, "of-"+name); err != nil {
			t.Fatal(err)
		}
		if err := a.Check(ctx); cloud.KindOf(err) != test.want {
			t.Errorf("%s taken: got %v, want %q", name, err, test.want)
		}
	}
}

// TestSpace: the smaller of limit and file system counts, and nobody has less than no room.
func TestSpace(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	alice := w.person(c, "alice")
	w.site(c, alice, "blog", cloud.Static)
	a, site, err := c.Files(ctx, alice, "blog")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := os.WriteFile(w.homes.Path(site)+"/f", make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	total, _, err := a.Home.Free()
	if err != nil {
		t.Fatal(err)
	}
	for disk, check := range map[string]func(cloud.Space) bool{
		"64MiB":    func(s cloud.Space) bool { return s.Limit == 64<<20 && s.Free == s.Limit-s.Used },
		"64KiB":    func(s cloud.Space) bool { return s.Limit == 64<<10 && s.Free == 0 },
		"9000 TiB": func(s cloud.Space) bool { return s.Limit == total && s.Free > 0 && s.Free <= total },
	} {
		if err := c.SetAccount(ctx, operator, "alice", []string{"disk=" + disk}); err != nil {
			t.Fatal(err)
		}
		s, err := a.Space(ctx)
		if err != nil || s.Used < 1<<20 || !check(s) {
			t.Errorf("disk=%s: got %+v, %v", disk, s, err)
		}
	}
}
