package gateway_test

import (
	"testing"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

func TestAccountView(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	for _, user := range []string{"ada", "jean.dupont", "root"} {
		o := ada.ssh(user, "", "whoami")
		if o.status != 0 || o.stderr != "" {
			t.Errorf("whoami as %s: %+v", user, o)
		}
		has(t, o.stdout, "ada")
	}
	if o := ada.ssh("ada", "", "whomai"); o.status != cloud.Usage.Exit() || o.stdout != "" {
		t.Errorf("unknown command: %+v", o)
	}
	o := ada.ssh("ada", "")
	if o.status != 0 {
		t.Errorf("no command: %+v", o)
	}
	has(t, o.stdout, "site create")
}

func TestSiteView(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	for _, c := range []struct {
		stdin string
		args  []string
		want  output
	}{
		{"", []string{"echo out; echo err >&2; exit 7"}, output{"out\n", "err\n", 7}},
		{"early\x00bytes\n", []string{"cat"}, output{"early\x00bytes\n", "", 0}},
		{"echo from stdin; exit 3\n", []string{"-T"}, output{"from stdin\n", "", 3}},
		{"", []string{"kill -9 $$"}, output{"", "", 137}},
		{"", []string{"printf 'a\\nb'"}, output{"a\nb", "", 0}},
		{"one\ntwo\n", []string{"wc -l; echo $?"}, output{"2\n0\n", "", 0}},
	} {
		if o := ada.ssh(site, c.stdin, c.args...); o != c.want {
			t.Errorf("%q: got %+v, want %+v", c.args, o, c.want)
		}
	}
}
