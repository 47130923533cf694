package main

import (
	"os/exec"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// docker runs the docker client; "docker" on its own in a script would need exec.
func docker(ts *testscript.TestScript, neg bool, args []string) {
	if args[0] == "kill" { // docker kill … SITE: of this gateway, by the site's first label
		last := len(args) - 1
		out, err := exec.Command("docker", "ps", "-q", "--filter", "label=nuage.data="+of(ts).path("data"),
			"--filter", "label=nuage.name="+args[last]+".localhost").Output()
		ts.Check(err)
		args = append(args[:last:last], strings.TrimSpace(string(out)))
	}
	if err := ts.Exec("docker", args...); (err != nil) != neg {
		ts.Fatalf("docker %s: %v", strings.Join(args, " "), err)
	}
}
