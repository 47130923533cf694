package command

import (
	"slices"
	"strings"
	"testing"

	"plil.net/nuage/cloud"
)

func TestTableExplainsItself(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range commands() {
		if err := c.check(); err != nil {
			t.Error(err)
		}
		if seen[c.name()] {
			t.Errorf("%q is there twice", c.name())
		}
		seen[c.name()] = true
		if strings.HasSuffix(c.short, ".") || !strings.HasSuffix(c.long, ".") {
			t.Errorf("%q: the short help ends with a full stop, or the long one does not", c.name())
		}
		for _, e := range c.examples {
			if row := newTable().find(strings.Fields(e)); row == nil || row.name() != c.name() {
				t.Errorf("%q: example %q is one of another command", c.name(), e)
			}
		}
	}
	for _, want := range strings.Split("help,whoami,version,site create,site list,site info,site delete,site start,site stop,site restart,"+
		"site logs,site set,site share,site unshare,shell,run,key add,key list,key remove,account add,account list,account info,account disable,account enable,"+
		"account delete,account set,group list,audit,backup,status", ",") {
		if !seen[want] {
			t.Errorf("there is no command %q", want)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	good := func() command { c := commands()[0]; return c }
	for what, spoil := range map[string]func(*command){
		"no verb": func(c *command) { c.verb = "" }, "no run": func(c *command) { c.run = nil },
		"no audience": func(c *command) { c.who = 0 }, "no short": func(c *command) { c.short = "" },
		"no long": func(c *command) { c.long = "" }, "no example": func(c *command) { c.examples = nil },
		"noun": func(c *command) { c.noun = "thing" }, "flag": func(c *command) { c.flags = []flag{{long: "x"}} },
		"arg": func(c *command) { c.args = []arg{{name: "A", many: true}, {name: "B"}} },
	} {
		c := good()
		if c.check() != nil {
			t.Fatal("the good one is refused")
		}
		if spoil(&c); c.check() == nil {
			t.Errorf("%s: not refused", what)
		}
	}
}

// lineFor is a line of a command with something in the place of each argument.
func lineFor(c command, name string) string {
	words := []string{c.name()}
	for _, a := range c.args {
		switch a.is {
		case aSite, anAccount, aKey:
			words = append(words, name)
		case siteSetting:
			words = append(words, "root=www")
		case accountSetting:
			words = append(words, "idle=never")
		default:
			words = append(words, "x")
		}
	}
	return strings.Join(words, " ")
}

func TestAdminsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range commands() {
		if c.who != admins {
			continue
		}
		status, out, err := w.run(t, "alice", lineFor(c, "bob")+" --json", "")
		if status != cloud.Denied.Exit() || out != "" {
			t.Errorf("a member runs %q: exits %d\n%s%s", c.name(), status, out, err)
		}
	}
	for _, line := range []string{"site list --all", "backup", "backup --all", "key list --account bob", "key remove x --account bob"} {
		if status, out, _ := w.run(t, "alice", line, ""); status != cloud.Denied.Exit() || out != "" {
			t.Errorf("a member runs %q: exits %d", line, status)
		}
	}
	status, out, _ := w.run(t, "alice", "help", "")
	if status != 0 || strings.Contains(out, "account add") || strings.Contains(out, "--all") {
		t.Error("a member's help shows what is for admins")
	}
}

// TestForeignSites: what is somebody else's answers exactly as what is not there.
func TestForeignSites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, "bob", "site create hers")
	tried := 0
	for _, c := range commands() {
		if !slices.ContainsFunc(c.args, func(a arg) bool { return a.is == aSite }) {
			continue
		}
		tried++
		for _, end := range []string{"", " --json"} {
			if c.verbatim {
				end = ""
			}
			s1, out1, err1 := w.run(t, "alice", lineFor(c, "hers")+end, "")
			s2, out2, err2 := w.run(t, "alice", lineFor(c, "nope")+end, "")
			if s1 != cloud.NotFound.Exit() || s1 != s2 || out1 != out2 || strings.ReplaceAll(err1, "hers", "nope") != err2 {
				t.Errorf("%s: foreign %d %q, missing %d %q", c.name(), s1, err1, s2, err2)
			}
		}
	}
	if tried < 9 {
		t.Errorf("only %d commands take a site", tried)
	}
	w.must(t, "bob", "site info hers")
}

func TestHelp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	golden(t, "help-member.txt", w.must(t, "alice", "help"))
	golden(t, "help-admin.txt", w.must(t, "root", "help"))
	golden(t, "help-site.txt", w.must(t, "alice", "help site"))
	for _, line := range []string{"", "--help", "-h", "help --help --json -h"} {
		if status, out, _ := w.run(t, "alice", line, ""); status != 0 || out == "" {
			t.Errorf("%q exits %d", line, status)
		}
	}
	for _, c := range commands() {
		page := w.must(t, "root", "help "+c.name())
		for _, line := range []string{c.name() + " --help", "-h " + c.name()} {
			if got := w.must(t, "root", line); got != page {
				t.Errorf("%q prints another page than help", line)
			}
		}
		for _, f := range c.flags {
			if !strings.Contains(page, "--"+f.long) || !strings.Contains(page, f.help) {
				t.Errorf("%q: the page does not explain --%s", c.name(), f.long)
			}
		}
		if !strings.Contains(page, "2222 nuage.test "+c.usage(true)+"\n") || !strings.Contains(page, "2222 nuage.test "+c.examples[0]) {
			t.Errorf("%q: the page has no line to type:\n%s", c.name(), page)
		}
	}
	if page := w.must(t, "alice", "run blog --help"); !strings.HasPrefix(page, "run: ") {
		t.Errorf("run blog --help prints %s", page)
	}
}

func TestHelpAtPort22(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Door.SSHPort = 22
	if page := w.must(t, "alice", "site create --help"); !strings.Contains(page, "\n  ssh nuage.test site create NAME [--type php|static]\n") {
		t.Error(page)
	}
	if page := w.must(t, "alice", "help shell"); !strings.Contains(page, "\n  ssh -t nuage.test shell NAME\n") {
		t.Error(page)
	}
}
