package main

import (
	"context"
	"os"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"plil.net/nuage/proxygen/acme/pebbletest"
)

// pebble runs an ACME authority that asks our DNS server and challenges hosts at $N and $S: "pebble" starts it, sets ACME
// to its URL, and writes pebble.pem, its own root, and issued.pem, that of its certificates; "pebble end" ends it.
func pebble(ts *testscript.TestScript, _ bool, args []string) {
	g := of(ts)
	if len(args) == 1 {
		g.daemons["pebble"]()
		return
	}
	program, err := pebbletest.Build()
	ts.Check(err)
	httpPort, _ := strconv.Atoi(ts.Getenv("N"))
	tlsPort, _ := strconv.Atoi(ts.Getenv("S"))
	server, err := pebbletest.Start(program, g.dir, g.dns.Addr, httpPort, tlsPort, time.Hour)
	ts.Check(err)
	g.daemons = map[string]func(){"pebble": server.Stop}
	ts.Defer(server.Stop)
	issued, err := server.Issued(context.Background())
	ts.Check(err)
	ts.Check(os.WriteFile(g.path("issued.pem"), issued, 0o600))
	ts.Setenv("ACME", server.Directory)
}
