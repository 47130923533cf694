package cloud_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"plil.net/nuage/cloud"
)

// TestAuditTellsWhat: an event says what was changed, and to what; never a password.
func TestAuditTellsWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	ada := w.person(c, "ada")
	_, err := c.CreateSite(t.Context(), ada, cloud.NewSite{Name: "blog", Type: cloud.Static})
	_, set := c.SetSite(t.Context(), ada, "blog", []string{"root=www/public", "password=correct horse"})
	_, unset := c.SetSite(t.Context(), ada, "blog", []string{"password="})
	if err := errors.Join(err, set, unset, c.RestartSite(t.Context(), ada, "blog"),
		c.SetAccount(t.Context(), operator, "ada", []string{"max_sites=5", "memory="})); err != nil {
		t.Fatal(err)
	}
	var told []string
	err = c.Audit(t.Context(), operator, cloud.EventFilter{}, false, func(e cloud.Event) error {
		told = append(told, string(e.Action)+" "+e.Detail)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"account.add member of students", "site.set root=www/public password=…", "site.set password=", "site.start restart",
		"account.set max_sites=5 memory=",
	} {
		if !slices.Contains(told, want) {
			t.Errorf("no %q", want)
		}
	}
	if all := strings.Join(told, "\n"); t.Failed() || strings.Contains(all, "horse") {
		t.Errorf("told:\n%s", all)
	}
}
