package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"plil.net/nuage/cloud"
)

// TestLines is a session of several people, line by line.
func TestLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	three := publicKey(3)
	for _, c := range []struct {
		who, line, stdin string
		status           int
		out, err         string // parts of them; "-": nothing at all
	}{
		{"alice", "whoami", "", 0, "group      students", "-"},
		{"alice", "version", "", 0, "nuage 1.0\n", "-"},
		{"alice", "site list", "", 0, "-", "Make one: ssh -p 2222 nuage.test site create NAME"},
		{"alice", "site list --json", "", 0, "[]\n", "-"},
		{"alice", "site create blog", "", 0, "http://blog.plil.test:8080/\n", "scp -P 2222 -r ./build/* nuage.test:blog.plil.test/www/"},
		{"alice", "site create blog", "", 6, "-", `you already have "blog.plil.test"`},
		{"bob", "site create blog.plil.test", "", 6, "-", "is taken"},
		{"alice", "site create Blog", "", 3, "-", `hint: try "blog"`},
		{"alice", "site create x --type perl", "", 3, "-", "the types are php and static"},
		{"alice", "site new pages --type static --json", "", 0, `"type": "static"`, "-"},
		{"alice", "sites ls", "", 0, "pages.plil.test  static  running", "-"},
		{"alice", "site info pages", "", 0, "limits      1GiB disk", "-"},
		{"alice", "site info pages", "", 0, "visits      none yet", "-"},
		{"root", "site list --all", "", 0, "alice", "-"},
		{"root", "site list", "", 0, "-", "No site yet"},
		{"alice", "site list --all", "", 5, "-", "this is for admins"},
		{"root", "site info blog", "", 0, "address     127.73.", "-"},
		{"alice", "site stop blog", "", 0, "-", "blog.plil.test is stopped"},
		{"alice", "run blog -- true", "", 8, "-", "hint: start it: ssh -p 2222 nuage.test site start blog.plil.test"},
		{"alice", "site start blog --json", "", 0, `"state": "running"`, "-"},
		{"alice", "site restart blog", "", 0, "-", "running again"},
		{"alice", "site set blog root=www/public", "", 0, "-", "root www/public/"},
		{"alice", "site set blog nonsense", "", 3, "-", "KEY=VALUE"},
		{"alice", "site set blog", "", 2, "-", "hint: ssh -p 2222 nuage.test site set NAME KEY=VALUE"},
		{"alice", "site logs blog -n x", "", 2, "-", `"x" is not a number of lines`},
		{"alice", "site logs pages", "", 3, "-", "static site"},
		{"alice", `run blog -- printf '%s|' "a  b" c\ d --json '*' $HOME`, "", 0, "a  b|c d|--json|*|$HOME|", "-"},
		{"alice", "run blog cat -", "typed in", 0, "typed in", "-"},
		{"alice", "run blog -- sh -c 'echo no >&2; exit 42'", "", 42, "-", "no\n"},
		{"alice", "shell blog", "pwd >/dev/null; echo hello; exit 3", 3, "hello\n", "-"},
		{"alice", "shell pages", "echo hello; exit 3", 3, "hello\n", "-"},
		{"alice", "site delete blog", "", 2, "-", "hint: ssh -p 2222 nuage.test site delete blog.plil.test --yes"},
		{"alice", "site info blog", "", 0, "blog.plil.test", "-"},
		{"alice", "site delete blog --yes", "", 0, "-", "blog.plil.test is deleted"},

		{"alice", "key add --label 'my laptop'", three, 0, "SHA256:", "lets alice in"},
		{"alice", "key add", three, 6, "-", "already has this key"},
		{"bob", "key add", three, 6, "-", "another account"},
		{"alice", "key add", "", 3, "-", "no key was given"},
		{"alice", "key add", three + "\n" + publicKey(4), 3, "-", "more than one line"},
		{"alice", "key add", strings.Repeat("x", 1<<20), 3, "-", "16384 bytes"},
		{"alice", "key add --account bob", publicKey(5), 5, "-", "admins"},
		{"alice", "key list", "", 0, "my laptop", "-"},
		{"root", "key list --account alice --json", "", 0, `"label": "my laptop"`, "-"},
		{"alice", "key remove SHA256:nope", "", 4, "-", "no key"},

		{"root", "account add marie --group teachers --key -", publicKey(6), 0, "-", "marie is in, as member of teachers"},
		{"root", "account add zoe --key -", "", 3, "-", "no key was given"},
		{"root", "account info zoe", "", 4, "-", `no account "zoe"`},
		{"root", "account add zoe --key file", "", 2, "-", "--key takes only -"},
		{"root", "account add zoe", "", 0, "-", "key add --account zoe < KEY.pub"},
		{"root", "account add zoe", "", 6, "-", "exists"},
		{"root", "account set zoe max_sites=5 idle=never memory=256MiB", "", 0, "-", "zoe is changed"},
		{"root", "account info zoe", "", 0, "256MiB (its own)", "-"},
		{"root", "users ls", "", 0, "zoe    students  member  0     0 of 5", "-"},
		{"root", "account info zoe --json", "", 0, `"idle": "never"`, "-"},
		{"root", "account disable zoe --json", "", 0, `"disabled": true`, "-"},
		{"root", "account list", "", 0, "member (disabled)", "-"},
		{"root", "account enable zoe", "", 0, "-", "may come in again"},
		{"root", "account delete alice --yes", "", 6, "-", "owns 1 sites"},
		{"root", "account delete zoe", "", 2, "-", "account delete zoe --yes"},
		{"root", "account rm zoe --yes", "", 0, "-", "zoe is deleted"},
		{"root", "group list", "", 0, "prof.example", "-"},
		{"alice", "site share pages bob", "", 0, "-", "bob may use pages.plil.test"},
		{"alice", "site share pages nobody.here", "", 4, "-", `no account "nobody.here"`},
		{"bob", "site info pages", "", 0, "members     bob", "-"},
		{"bob", "site share pages alice", "", 5, "-", `ask "alice"`},
		{"root", "site list --as bob", "", 0, "pages.plil.test", "-"},
		{"root", "--as bob whoami --json", "", 0, `"name": "bob"`, "-"},
		{"root", "account list --as bob", "", 5, "-", "for admins"},
		{"root", "whoami --as nobody.here", "", 4, "-", `no account "nobody.here"`},
		{"bob", "whoami --as alice", "", 5, "-", "for admins"},
		{"bob", "help --as nobody.here", "", 5, "-", "for admins"},
		{"root", "audit --account bob", "", 0, "root as bob", "-"},
		{"bob", "site unshare pages bob", "", 0, "-", "bob no longer uses pages.plil.test"},
		{"root", "status", "", 0, "status --root-ca > nuage.pem\n", "-"},
		{"root", "status --json", "", 0, `"engine_up": true`, "-"},
		{"root", "audit --site pages --since 1h", "", 0, "site.create", "-"},
		{"root", "audit --since 2027-01-01 --json", "", 0, "[]\n", "-"},
		{"root", "audit --since 7days", "", 3, "-", `"7days" is not a time`},
		{"root", "backup", "", 0, "\x00snapshot\n\xff", "-"},
	} {
		status, out, err := w.run(t, c.who, c.line, c.stdin)
		if status != c.status || !says(out, c.out) || !says(err, c.err) {
			t.Errorf("%s: %s\nexits %d, want %d with %q and %q\n%s--- stderr\n%s", c.who, c.line, status, c.status, c.out, c.err, out, err)
		}
	}
}

// says reports whether text has a part; "-" is no text at all.
func says(text, part string) bool {
	if part == "-" {
		return text == ""
	}
	return strings.Contains(text, part)
}

func TestUsage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for line, want := range map[string]string{
		"site lst":              `did you mean "site list"?`,
		"stie list":             `did you mean "site list"?`,
		"list site":             `did you mean "site list"?`,
		"create blog":           `did you mean "site create"?`,
		"ls":                    `did you mean "site list"?`,
		"whoam":                 `did you mean "whoami"?`,
		"acount add x":          `did you mean "account add"?`,
		"site frob":             "site has create, list",
		"frobnicate":            "hint: all commands: ssh -p 2222 nuage.test help",
		"nope --help":           `unknown command "nope"`,
		"help nope":             `unknown command "nope"`,
		"__complete site":       `unknown command "__complete"`,
		"--json __complete x y": `unknown command \"__complete\"`,
		"completion bash":       `unknown command "completion"`,
		"site list --al":        "did you mean --all?",
		"site list --jsno":      "did you mean --json?",
		"site list -x":          `unknown flag "-x"`,
		"site create x --type":  `flag "--type" needs a value`,
		"site list --all=perh":  `flag "--all" takes no value "perh"`,
		"site create":           "site create needs NAME",
		"site create a b":       `site create takes no "b"`,
		"run blog":              "hint: ssh -p 2222 nuage.test run NAME -- CMD",
		"site delete":           "hint: ssh -t -p 2222 nuage.test site delete NAME [--yes]",
		"site info 'x":          "a quote is opened and never closed",
		`site info "x`:          "a quote is opened and never closed",
		`site info x\`:          `middle of a \ escape`,
		"\x1b[2J":               `"\x1b[2J"`,
		"site list --\x1b[2J":   `\x1b[2J`,
		"site info \u202e":      "",
	} {
		status, out, err := w.run(t, "alice", line, "")
		if line == "site info \u202e" {
			if strings.Contains(err, "\u202e") || status != 4 {
				t.Errorf("%q exits %d with %q", line, status, err)
			}
			continue
		}
		if status != cloud.Usage.Exit() || out != "" || !strings.Contains(err, want) || strings.ContainsAny(err, "\x1b") {
			t.Errorf("%q exits %d; want one that says %s\n%s--- stderr\n%s", line, status, want, out, err)
		}
	}
}

func TestJSONErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for line, kind := range map[string]cloud.Kind{
		"site info nope --json": cloud.NotFound, "--json site lst": cloud.Usage, "site list --json --x": cloud.Usage,
		"site info --json 'x": cloud.Usage, "site create Blog --json": cloud.Invalid, "account list --json": cloud.Denied,
		"site info '\u009b' --json": cloud.NotFound,
	} {
		status, out, err := w.run(t, "alice", line, "")
		var got map[string]failure
		if json.Unmarshal([]byte(err), &got) != nil || got["error"].Kind != kind || got["error"].Message == "" {
			t.Errorf("%q: stderr %s", line, err)
		}
		if out != "" || status != kind.Exit() || strings.Contains(err, "\u009b") {
			t.Errorf("%q exits %d; stdout %q, stderr %q", line, status, out, err)
		}
	}
}

func TestEmptyListsAreArrays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, line := range []string{"site list --json", "site list --all --json", "key list --account operator --json", "audit --since 2030-01-01 --json"} {
		if out := w.must(t, "root", line); out != "[]\n" {
			t.Errorf("%s prints %q", line, out)
		}
	}
}

func TestJSONSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, "alice", "site create blog")
	var site map[string]any
	if err := json.Unmarshal([]byte(w.must(t, "alice", "site info blog --json")), &site); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"name": "blog.plil.test", "type": "php", "owner": "alice", "state": "running", "url": "http://blog.plil.test:8080/",
		"secure_url": "https://blog.plil.test:8443/", "created": "2026-11-09T12:00:00Z", "root": "www",
	} {
		if site[key] != want {
			t.Errorf("%s is %v; want %v", key, site[key], want)
		}
	}
	if members, ok := site["members"].([]any); !ok || len(members) != 0 {
		t.Errorf("members is %v", site["members"])
	}
	if _, ok := site["address"]; ok {
		t.Error("a member sees the address")
	}
}

type deaf struct{}

func (deaf) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestClientGone: nobody to read is the client's end, not our failure.
func TestClientGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, line := range []string{"audit", "audit --json -f", "backup", "site list --json"} {
		var stderr bytes.Buffer
		status := Run(t.Context(), Call{Cloud: w.Cloud, Who: w.who["root"], Stdout: deaf{}, Stderr: &stderr}, line)
		if status != cloud.Cancelled.Exit() {
			t.Errorf("%s exits %d: %s", line, status, &stderr)
		}
	}
}

func TestFollowEndsWithContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, "alice", "site create blog")
	for who, line := range map[string]string{"root": "audit -f", "alice": "site logs blog -f"} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan int)
		go func() { done <- Run(ctx, Call{Cloud: w.Cloud, Who: w.who[who]}, line) }()
		cancel()
		if status := <-done; status != cloud.Cancelled.Exit() {
			t.Errorf("%s exits %d", line, status)
		}
	}
}

// TestPanic: a command that breaks is told with a ref; the gateway lives.
func TestPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var stderr bytes.Buffer
	j := newJob(Call{Cloud: w.Cloud, Stdout: io.Discard, Stderr: &stderr}, nil)
	j.table = table{{verb: "boom", run: func(context.Context, *job) error { panic("secret") }}}
	if status := j.do(t.Context(), "boom"); status != 1 || !strings.Contains(stderr.String(), "(ref ") || strings.Contains(stderr.String(), "secret") {
		t.Errorf("exits %d: %s", status, &stderr)
	}
	stderr.Reset()
	j.table[0].run = func(context.Context, *job) error { return errors.New("secret") }
	if status := j.do(t.Context(), "boom"); status != 1 || !strings.Contains(stderr.String(), "(ref ") || strings.Contains(stderr.String(), "secret") {
		t.Errorf("exits %d: %s", status, &stderr)
	}
}

// TestOperatorsLines: the operator of the host is told lines that it can type.
func TestOperatorsLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.who["operator"] = cloud.Who{Account: cloud.Operator, Key: "SHA256:operator"}
	for line, want := range map[string]string{
		"account add zoe": "nuage ctl key add --account zoe < KEY.pub",
		"site creat x":    "nuage ctl help",
		"help":            "each after nuage ctl:",
	} {
		if _, out, err := w.run(t, "operator", line, ""); !strings.Contains(out+err, want) {
			t.Errorf("%s: no %q in %s%s", line, want, out, err)
		}
	}
}
