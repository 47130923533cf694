package command

import (
	"slices"
	"strings"
	"testing"
)

func TestComplete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, "alice", "site create blog --type static")
	w.must(t, "alice", "site create shop --type static")
	w.must(t, "bob", "site create hers --type static")
	member := completion{newTable(), func() bool { return false }, nil}
	admin := completion{newTable(), func() bool { return true }, nil}
	for c, who := range map[*completion]string{&member: "alice", &admin: "root"} {
		c.names = func(is thing) []string {
			return newJob(Call{Cloud: w.Cloud, Who: w.who[who]}.whole(), nil).names(t.Context(), is, c.admin)
		}
	}
	for line, want := range map[string]string{
		"":                          "site shell run backup domain key whoami help version",
		"s":                         "site shell",
		"site ":                     "create list info logs stats set share unshare start stop restart delete",
		"sites re":                  "restart",
		"site info ":                "blog.plil.test shop.plil.test",
		"site rm b":                 "blog.plil.test",
		"site info blog ":           "",
		"site create x --type ":     "php static",
		"site create x --":          "--type --json --help",
		"site list --":              "--json --help",
		"site set blog ":            "type= type=php type=static root= idle= idle=never php= https=force main= maintenance=on maintenance=off password=- password= owner=",
		"site set blog root=x ty":   "type= type=php type=static",
		"help ":                     "site shell run backup domain key whoami help version",
		"help site s":               "stats set share start stop",
		"key remove SHA256:":        strings.TrimSpace(w.who["alice"].Key),
		"account ":                  "",
		"account info ":             "",
		"site logs -f -n 5 sh":      "shop.plil.test",
		"site logs -n ":             "",
		"site info 'bl":             "",
		"nope ":                     "",
		"run blog ":                 "",
		"site create ":              "",
		"site info\tb":              "blog.plil.test",
		"shell --json bl":           "blog.plil.test",
		"site info --json --help b": "blog.plil.test",
	} {
		if _, got := member.complete(line); strings.Join(got, " ") != want {
			t.Errorf("%q goes on with %q; want %q", line, got, want)
		}
	}
	for line, want := range map[string]string{
		"a":                      "account audit",
		"account info ":          "alice bob root",
		"audit --site ":          "",
		"account add x --group ": "students teachers",
		"key list --account b":   "bob",
		"site list --a":          "--all --as",
		"site list --as b":       "bob",
		"site info --as bob ":    "",
		"account set bob rol":    "role=admin role=member",
	} {
		if _, got := admin.complete(line); strings.Join(got, " ") != want {
			t.Errorf("for an admin %q goes on with %q; want %q", line, got, want)
		}
	}
}

func TestTab(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, "alice", "site create blog --type static")
	w.must(t, "alice", "site create blue --type static")
	p := prompt(t, w, "alice")
	p.types("who\t\r")
	p.expect("name       alice")
	p.expect("nuage> ")
	p.types("site inf\tbl\t") // nothing to add: both are listed, and the line comes back
	p.expect("blog.plil.test blue.plil.test\r\n")
	p.expect("nuage> site info bl")
	p.types("o\t\r")
	if out := p.expect("nuage> "); !strings.Contains(out, "name        blog.plil.test") {
		t.Errorf("site info blo TAB prints %q", out)
	}
	p.types("site list x\x1b[D\x1b[D --js\t\x05\x7f\x7f\r") // in the middle of a line
	if out := p.expect("nuage> "); !strings.Contains(out, `"name": "blue.plil.test"`) {
		t.Errorf("TAB in the middle prints %q", out)
	}
	p.types("nothing\t\x03")
	p.expect("nuage> ")
}

func TestListed(t *testing.T) {
	t.Parallel()
	words := slices.Repeat([]string{"a.plil.net"}, 150)
	text := listed(words, 40)
	for line := range strings.SplitSeq(text, "\n") {
		if len([]rune(line)) > 40 {
			t.Errorf("line %q is wider than the terminal", line)
		}
	}
	if !strings.HasSuffix(text, "… and 50 more") {
		t.Errorf("listed %q", text)
	}
}
