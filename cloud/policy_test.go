package cloud

import "testing"

func TestPolicy(t *testing.T) {
	t.Parallel()
	var (
		alice    = Account{Name: "alice", Role: Member}
		root     = Account{Name: "root", Role: Admin}
		disabled = Account{Name: "root", Role: Admin, Disabled: true}
		hers     = target{site: &Site{Name: "a", Owner: "alice"}}
		shared   = target{site: &Site{Name: "b", Owner: "bob", Members: []string{"alice"}}}
		his      = target{site: &Site{Name: "c", Owner: "bob"}}
	)
	for _, tc := range []struct {
		who    Account
		action Action
		on     target
		want   Kind
	}{
		{alice, WhoAmI, target{}, ""},
		{alice, SiteCreate, target{}, ""},
		{alice, SiteAll, target{}, Denied},
		{alice, SiteInfo, hers, ""},
		{alice, SiteDelete, hers, ""},
		{alice, SiteExec, shared, ""},
		{alice, SiteDelete, shared, Denied},
		{alice, SiteInfo, his, NotFound},
		{alice, SiteDelete, his, NotFound},
		{alice, SiteFiles, target{}, NotFound},
		{root, SiteDelete, his, ""},
		{root, "", his, Denied},
		{root, "site.explode", his, Denied},
		{alice, KeyAdd, target{account: "alice"}, ""},
		{alice, KeyAdd, target{account: "bob"}, Denied},
		{alice, KeyList, target{account: ""}, Denied},
		{alice, AccountAdd, target{account: "alice"}, Denied},
		{root, AccountAdd, target{account: "alice"}, ""},
		{disabled, WhoAmI, target{}, Denied},
	} {
		if got := KindOf(may(tc.who, tc.action, tc.on)); got != tc.want {
			t.Errorf("may(%s, %q, %+v) = %q; want %q", tc.who.Name, tc.action, tc.on, got, tc.want)
		}
	}
}

// TestNoAccountGainsByItsName: what an account may do comes from its role, what a site's name is like changes
// nothing.
func TestNoAccountGainsByItsName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"admin", Operator, "root", "c"} {
		who := Account{Name: name, Role: Member}
		for action, s := range policy {
			if s == admins && may(who, action, target{account: name, site: &Site{Name: name, Owner: "bob"}}) == nil {
				t.Errorf("a member named %q may %s", name, action)
			}
		}
	}
}
