package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// get asks for a page and checks its status: get 200 http://blog.localhost:$HTTP/ [curl options]. The body is stdout.
func get(ts *testscript.TestScript, _ bool, args []string) { ts.Check(fetch(ts, args)) }

func fetch(ts *testscript.TestScript, args []string) error {
	want := args[0]
	headers := of(ts).path("headers")
	err := ts.Exec("curl", append([]string{"-sS", "-m", "20", "-D", headers}, args[1:]...)...)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(headers)
	if err != nil {
		return err
	}
	last := ""
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "HTTP/") {
			last = strings.Fields(line)[1]
		}
	}
	if last != want {
		return fmt.Errorf("status %s, want %s", last, want)
	}
	return nil
}
