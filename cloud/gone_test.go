package cloud_test

import (
	"context"
	"strings"
	"testing"

	"plil.net/nuage/cloud"
)

// TestProgramOfASiteThatGoesRegression: a site that is deleted between its look-up and its wake is told by its name, with a hint.
func TestProgramOfASiteThatGoesRegression(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	alice := w.person(c, "alice")
	for name, during := range map[string]func(cloud.Site, func()){
		"before the hold": func(s cloud.Site, remove func()) { remove() },
		// The table of before is still there, as it is for a moment: the wake itself does not find the site.
		"before the wake": func(s cloud.Site, _ func()) {
			if err := w.store.Update(ctx, func(tx cloud.Tx) error { return tx.DeleteSite(s.ID) }); err != nil {
				t.Error(err)
			}
		},
	} {
		done, err := c.Import(ctx, operator, func() ([]cloud.OldSite, error) { // which makes it asleep
			return []cloud.OldSite{{Login: "alice", Group: "students", Domain: "blog.plil.net"}}, nil
		})
		if err != nil || done[0].Err != nil {
			t.Fatal(err, done)
		}
		s, err := c.Site(ctx, alice, "blog")
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Exec(ctx, alice, "blog", cloud.Exec{Argv: []string{"true"}, Progress: func(step string) {
			if step != "" {
				during(s, func() {
					if err := c.DeleteSite(ctx, alice, "blog"); err != nil {
						t.Error(err)
					}
				})
			}
		}})
		e := cloud.Explain(err, func() string { return "-" })
		if e.Kind != cloud.NotFound || e.Message != `no site "blog.plil.net"` || !strings.Contains(e.Hint, "site list") {
			t.Errorf("%s: %s: %s, hint %q", name, e.Kind, e.Message, e.Hint)
		}
	}
}
