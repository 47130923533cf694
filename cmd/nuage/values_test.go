package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// ports sets variables to ports that are free: ports A B. They are below those that the kernel gives to connections, which
// would take them before the script's programs listen.
func ports(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		var l net.Listener
		var err error
		for range 100 {
			if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))); err == nil {
				break
			}
		}
		ts.Check(err)
		defer l.Close() // once all are chosen, so that they differ
		ts.Setenv(name, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
}

// fill writes a file with the variables in it: fill from.in to.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	text := os.Expand(ts.ReadFile(args[0]), func(name string) string {
		if value := ts.Getenv(name); value != "" {
			return value
		}
		return "$" + name
	})
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// bytesOf writes a file of n pseudo-random bytes: bytes 1000000 big.
func bytesOf(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	b := make([]byte, n)
	state := uint64(88172645463325252)
	for i := range b {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		b[i] = byte(state)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o644))
}

// keep keeps a trimmed stdout in a variable: keep NAME.
func keep(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// field writes a field of the JSON object on stdout to a file: field root_ca root.pem.
func field(ts *testscript.TestScript, _ bool, args []string) {
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &object))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(fmt.Sprint(object[args[0]])), 0o600))
}
