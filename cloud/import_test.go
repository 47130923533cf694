package cloud_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"plil.net/nuage/cloud"
)

// oldTable has lines rows, of which each eighteenth is wrong in one way or another.
func oldTable(lines int) (rows []cloud.OldSite, wrong int) {
	for n := range lines {
		r := cloud.OldSite{
			Login: fmt.Sprintf("user%d", n), Group: "students",
			Address: fmt.Sprintf("172.17.%d.%d", n/250, n%250+2), Domain: fmt.Sprintf("site%d.plil.net", n),
		}
		if n%18 == 17 {
			wrong++
			switch wrong % 5 {
			case 0:
				r.Login = "Not A Login"
			case 1:
				r.Group = "vlan100"
			case 2:
				r.Address = "172.17.300.1"
			case 3:
				r.Domain = "elsewhere.example.org"
			case 4:
				r.Domain = "site0.plil.net" // somebody else's
			}
		}
		rows = append(rows, r)
	}
	return rows, wrong
}

func table(rows ...cloud.OldSite) func() ([]cloud.OldSite, error) {
	return func() ([]cloud.OldSite, error) { return rows, nil }
}

func TestImportMakesWhatItCanAndTellsTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.network = netip.MustParsePrefix("127.71.0.0/22") // of no other test
	c := w.open(nil)
	defer c.Close()
	rows, wrong := oldTable(900)
	if wrong != 50 {
		t.Fatalf("%d lines are wrong", wrong)
	}
	for round := range 2 {
		done, err := c.Import(t.Context(), operator, table(rows...))
		if err != nil {
			t.Fatal(err)
		}
		refused, made := 0, 0
		for i, d := range done {
			if (i%18 == 17) != (d.Err != nil) {
				t.Errorf("round %d, line %d: %v", round, i, d.Err)
			}
			if d.Err != nil {
				refused++
			}
			if d.Site != d.Account {
				t.Errorf("line %d: %+v", i, d)
			}
			if d.Site {
				made++
			}
		}
		if want := []int{850, 0}[round]; refused != 50 || made != want {
			t.Errorf("round %d: %d refused, %d made, want %d", round, refused, made, want)
		}
	}
	if n := strings.Count(w.rests(), "asleep, home of "); n != 850 {
		t.Errorf("%d sites asleep with their homes", n)
	}
	if strings.Contains(w.rests(), "container") {
		t.Error("a container was made")
	}
	if n := strings.Count(c.routes.hosts(), "=asleep"); n != 850 {
		t.Errorf("%d routes", n)
	}
	user := w.person(c, "somebody")
	if _, err := c.Import(t.Context(), user, table(rows[0])); cloud.KindOf(err) != cloud.Denied {
		t.Errorf("a member imports: %v", err)
	}
}

func TestAnImportedSiteWakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	if _, err := c.Import(t.Context(), operator, table(cloud.OldSite{Login: "jean", Group: "students", Domain: "blog"})); err != nil {
		t.Fatal(err)
	}
	s, err := c.Site(t.Context(), operator, "blog")
	if err != nil {
		t.Fatal(err)
	}
	_, release, err := c.Hold(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	release()
	if s, _ = c.Site(t.Context(), operator, "blog"); s.State != cloud.Running {
		t.Errorf("it is %s", s.State)
	}
}
