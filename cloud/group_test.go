package cloud_test

import (
	"net/netip"
	"strings"
	"testing"

	"plil.net/nuage/cloud"
)

// TestDomainsOfAGroup: every group has the default domain, its own ones only it has, and admins have all.
func TestDomainsOfAGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.openWith(nil, func(o *cloud.Options) {
		teachers := o.Groups[0]
		teachers.Name, teachers.Domains = "teachers", []string{"prof.example"}
		teachers.Network = netip.MustParsePrefix("127.68.0.0/24")
		o.Groups = append(o.Groups, teachers)
	})
	defer c.Close()
	alice, prof, root := w.person(c, "alice"), w.person(c, "prof"), w.person(c, "root")
	for name, pair := range map[string]string{"prof": "group=teachers", "root": "role=admin"} {
		if err := c.SetAccount(t.Context(), operator, name, []string{pair}); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []struct {
		who  cloud.Who
		name string
		good bool
	}{
		{alice, "a.plil.net", true}, {prof, "b.plil.net", true}, {root, "c.plil.net", true},
		{alice, "a.prof.example", false}, {prof, "b.prof.example", true}, {root, "c.prof.example", true},
	} {
		_, err := c.CreateSite(t.Context(), r.who, cloud.NewSite{Name: r.name, Type: cloud.Static})
		if (err == nil) != r.good {
			t.Errorf("%s for %s: %v", r.name, r.who.Account, err)
		}
		if !r.good && (cloud.KindOf(err) != cloud.Denied || !strings.Contains(err.Error(), `domain "prof.example" is not for group "students"`)) {
			t.Errorf("%s for %s: %v", r.name, r.who.Account, err)
		}
	}
}
