package main

import (
	"os/exec"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// imageName is that of the script's own image, in $IMAGE.
func (g *gatewayUnderTest) imageName() string { return "nuage/test-" + g.networks() + ":1" }

// image makes $IMAGE lead to a variant of the standard image with another program: image EDITION PROGRAM. It finds
// EDITION in its environment.
func image(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: image EDITION PROGRAM")
	}
	g := of(ts)
	run := func(args ...string) string {
		out, err := exec.Command("docker", args...).CombinedOutput()
		if err != nil {
			ts.Fatalf("docker %s: %v: %s", args[0], err, out)
		}
		return strings.TrimSpace(string(out))
	}
	container := run("create", "--label", "nuage.data="+g.path("data"), "nuage/php:8.2")
	id := run("commit", "--change", "ENV EDITION="+args[0], "--change", `CMD ["/bin/sh", "-c", "`+args[1]+`"]`, container, g.imageName())
	run("rm", "-f", container)
	g.images = append(g.images, id)
}

// removeImages is for the end, when nothing runs on them.
func (g *gatewayUnderTest) removeImages() {
	for _, id := range g.images {
		exec.Command("docker", "rmi", "-f", id).Run()
	}
}
