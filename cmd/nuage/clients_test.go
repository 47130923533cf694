package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// personas each have a key of their own. The first two are let in as admin and as members; attacker has a key that
// nobody knows.
var personas = []string{"admin", "owner", "stranger", "attacker"}

func (g *gatewayUnderTest) makeKeys() error {
	for _, who := range personas {
		out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", who+"@laptop", "-f", g.path(who)).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	return nil
}

// people lets admin, owner and stranger in.
func people(ts *testscript.TestScript, _ bool, _ []string) {
	g := of(ts)
	for _, a := range [][]string{{"admin", "--admin", "--group", "teachers"}, {"owner"}, {"stranger"}} {
		add := append([]string{"ctl", "--data", g.path("data"), "account", "add"}, append(a, "--key", "-")...)
		key, err := os.ReadFile(g.path(a[0] + ".pub"))
		ts.Check(err)
		cmd := exec.Command("nuage", add...)
		cmd.Stdin = strings.NewReader(string(key))
		if out, err := cmd.CombinedOutput(); err != nil {
			ts.Fatalf("account add %s: %v: %s", a[0], err, out)
		}
	}
}

// run runs a command with the script's streams: "as owner site list" is ssh, "as owner scp …" and others get the client
// config too; "as blog.localhost@owner id" is the site view.
func run(ts *testscript.TestScript, args []string) error {
	config := of(ts).path("ssh")
	if len(args) == 1 {
		return ts.Exec("ssh", "-F", config, args[0])
	}
	switch who, name := args[0], args[1]; name {
	case "scp", "sftp":
		return ts.Exec(name, append([]string{"-F", config}, args[2:]...)...)
	case "rsync":
		return ts.Exec("rsync", append([]string{"-e", "ssh -F " + config}, args[2:]...)...)
	case "ssh":
		return ts.Exec("ssh", append([]string{"-F", config}, args[2:]...)...)
	default:
		return ts.Exec("ssh", append([]string{"-F", config, who}, args[1:]...)...)
	}
}

func as(ts *testscript.TestScript, neg bool, args []string) {
	err := run(ts, args)
	if (err != nil) != neg {
		ts.Fatalf("as %s: %v", strings.Join(args, " "), err)
	}
}

// exits checks a status: exits 4 stranger site info blog.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = run(ts, args[1:])
	if got := status(err); got != want {
		ts.Fatalf("status %d, want %d: %v", got, want, err)
	}
}

func status(err error) int {
	if err == nil {
		return 0
	}
	var e *exec.ExitError
	if errors.As(err, &e) {
		return e.ExitCode()
	}
	return -1
}

// until repeats a command of the script's until it works: until docker ps …, until as owner …, until get …
func until(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(repeat(ts, time.Minute, args))
}

// within is until where the time is what is tested: within 5s sh -c …. A machine that others use gets more of it, by ten
// times what an empty command in the site takes there, which is a few hundredths of a second on a quiet one.
func within(ts *testscript.TestScript, _ bool, args []string) {
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	if err = repeat(ts, limit, args[1:]); err == nil {
		return
	}
	start := time.Now()
	ts.Check(run(ts, []string{"blog.localhost@owner", "true"}))
	if more := 10 * time.Since(start); repeat(ts, more, args[1:]) != nil {
		ts.Fatalf("%v, and not in %s more", err, more)
	}
}

func repeat(ts *testscript.TestScript, limit time.Duration, args []string) error {
	do := map[string]func() error{
		"as":  func() error { return run(ts, args[1:]) },
		"get": func() error { return fetch(ts, args[1:]) },
		"ctl": func() error {
			return ts.Exec("nuage", append([]string{"ctl", "--data", of(ts).path("data")}, args[1:]...)...)
		},
		"gone": func() error { return of(ts).nothingLeft() },
	}[args[0]]
	if do == nil {
		do = func() error { return ts.Exec(args[0], args[1:]...) }
	}
	var err error
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = do(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("not within %s: %s: %w", limit, strings.Join(args, " "), err)
}
