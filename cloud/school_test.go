package cloud

import (
	"strings"
	"testing"
)

func TestAccountNames(t *testing.T) {
	t.Parallel()
	r := Rules{Domain: "Plil.net"}
	for claim, want := range map[string]string{
		"jean": "jean", "Jean.Dupont": "jean.dupont", "jean@plil.net": "jean", "JEAN@PLIL.NET": "jean", "jean_dupont": "jean_dupont",
		"22001234": "u22001234", "../../etc/passwd": "etc-passwd", "a b": "a-b", " jean ": "jean", "d'été": "d-t", "jean\n": "jean", "a\x00b": "a-b",
		"admin": "admin", // a name is no right
		// nothing is left, or what is reserved
		"": "", "   ": "", "@plil.net": "", "///": "", "é": "", "operator": "", "operator/": "", "enrol": "", "a..b": "", "..": "",
		"\u212aevin": "evin", // no k: see TestLookAlikesRegression
		// another domain is another person
		"jean@evil.net": "", "jean@plil.net@evil.net": "", "jean@plil.net.evil.net": "", "jean@": "",
		strings.Repeat("a", 32): strings.Repeat("a", 32), strings.Repeat("a", 33): "", strings.Repeat("a", 10_000): "",
	} {
		got, err := r.accountName(claim)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("accountName(%.40q) = %q, %v; want %q", claim, got, err, want)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
	if _, err := (Rules{}).accountName("jean@plil.net"); err == nil {
		t.Error("a domain that nobody named is cut off")
	}
}

func FuzzAccountName(f *testing.F) {
	for _, s := range []string{"jean", "a/b", "é", "1", "x@plil.net", strings.Repeat("-a", 30)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, claim string) {
		name, err := Rules{Domain: "plil.net"}.accountName(claim)
		if err != nil {
			return
		}
		if _, err := ParseAccountName(name); err != nil {
			t.Errorf("%q became %q: %v", claim, name, err)
		}
	})
}

func TestGroupsOfClaims(t *testing.T) {
	t.Parallel()
	table := map[string]string{"etu": "students", "l3": "students", "prof": "teachers", "club": "associations"}
	rest := map[string]string{"prof": "teachers", "*": "students"}
	for _, tc := range []struct {
		rules Rules
		has   string
		want  string
		bad   bool
	}{
		{Rules{}, "etu prof", "", false},
		{Rules{Groups: table}, "etu", "students", false},
		{Rules{Groups: table}, "etu l3", "students", false},
		{Rules{Groups: table}, "other", "", true},
		{Rules{Groups: table}, "", "", true},
		{Rules{Groups: table}, "etu prof", "", true},
		{Rules{Groups: table, Order: []string{"associations"}}, "etu prof", "", true},
		{Rules{Groups: table, Order: []string{"teachers", "students"}}, "etu prof", "teachers", false},
		{Rules{Groups: table, Order: []string{"students", "teachers"}}, "prof etu", "students", false},
		{Rules{Groups: rest}, "other", "students", false},
		{Rules{Groups: rest}, "prof", "teachers", false},
		{Rules{Groups: rest}, "*", "students", false},
		{Rules{Groups: table}, "*", "", true},
	} {
		got, err := tc.rules.group(Person{Groups: strings.Fields(tc.has)})
		if got != tc.want || (err != nil) != tc.bad {
			t.Errorf("%v %q: %q, %v", tc.rules, tc.has, got, err)
		}
	}
}

func TestAges(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{"180d": "180d", "1d": "1d", "24h": "1d", "36h": "36h", "30m": "30m", "never": "never"} {
		d, err := ParseAge(s)
		if err != nil || formatAge(d) != want {
			t.Errorf("%s: %s, %v", s, formatAge(d), err)
		}
	}
	for _, s := range []string{"", "d", "0d", "-1d", "1.5d", "180", "99999d"} {
		if d, err := ParseAge(s); err == nil {
			t.Errorf("%q is %s", s, d)
		}
	}
}
