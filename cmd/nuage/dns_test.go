package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"plil.net/nuage/cloud/dnstest"
)

// dnsScript is a DNS server that the gateway asks. "dns" starts it, before serve; "dns add RECORD" and "dns remove NAME"
// change it, and "dns obey" adds the records that a command printed.
func dnsScript(ts *testscript.TestScript, _ bool, args []string) {
	g := of(ts)
	switch {
	case len(args) == 0:
		var err error
		g.dns, err = dnstest.New()
		ts.Check(err)
		ts.Setenv("DNS", g.dns.Addr)
		config, err := os.ReadFile(g.path("nuage.toml"))
		if err != nil {
			config = []byte(g.config())
		}
		config = fmt.Appendf(config, "[dns]\nresolver = %q\n", g.dns.Addr)
		ts.Check(os.WriteFile(g.path("nuage.toml"), config, 0o600))
	case args[0] == "add":
		ts.Check(g.dns.Add(strings.Join(args[1:], " ")))
	case args[0] == "remove":
		g.dns.Remove(args[1])
	case args[0] == "obey":
		for line := range strings.Lines(ts.ReadFile("stdout")) {
			ts.Check(g.dns.Add(line))
		}
	}
}
