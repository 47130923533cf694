// Package proxygentest holds what the tests of all proxies outside share: the routes and the certificates of their golden
// files, and the golden files' check. It knows neither nginx nor Caddy.
package proxygentest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"plil.net/nuage/cloud"
)

//go:embed routes.json
var routesText []byte

// Routes has a route of each kind.
func Routes(t testing.TB) (list []cloud.Route) {
	t.Helper()
	Check(t, json.Unmarshal(routesText, &list))
	return list
}

// Certificate is a wildcard for the school, one for the other domains, and none for one of them.
func Certificate(host string) (cert, key string, ok bool) {
	switch {
	case strings.HasSuffix(host, ".plil.net"):
		return "wild.pem", "wild.key", true
	case host == "uncertified.example.org":
		return "", "", false
	}
	return "other.pem", "other.key", true
}

// Certificates makes the files that Certificate names.
func Certificates(t testing.TB, dir string) {
	t.Helper()
	for name, host := range map[string]string{"wild": "*.plil.net", "other": "www.example.org"} {
		Run(t, dir, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
			"-subj", "/CN=test", "-addext", "subjectAltName=DNS:"+host, "-keyout", name+".key", "-out", name+".pem")
	}
}

// Golden compares a text with what is kept in a file, or keeps it there.
func Golden(t testing.TB, file string, text []byte, update bool) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if update {
		Check(t, os.WriteFile(file, text, 0o644))
	}
	want, err := os.ReadFile(file)
	Check(t, err)
	if !bytes.Equal(text, want) {
		t.Errorf("%s is not what is rendered; see go test -update and git diff", file)
	}
}

// Tool finds a program, or skips; where NUAGE_MUST promises it, it has to be there.
func Tool(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if slices.Contains(strings.Split(os.Getenv("NUAGE_MUST"), ","), name) {
		t.Fatalf("%s, which NUAGE_MUST promises, is not here", name)
	}
	t.Skipf("%s is not here", name)
}

// Run runs a program in dir and returns what it said.
func Run(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Check ends the test at an error.
func Check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
