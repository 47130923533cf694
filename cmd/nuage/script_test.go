package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"plil.net/nuage/proxygen/acme/pebbletest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"nuage": func() {
		p := program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, fault: dieAt(os.Getenv("NUAGE_FAULT"))}
		p.healAfter, _ = time.ParseDuration(os.Getenv("NUAGE_HEAL_AFTER"))
		os.Exit(p.run(os.Args[1:]))
	}})
}

// dieAt ends the process, as a power cut would, when a verb comes to the step.
func dieAt(step string) func(string) {
	return func(at string) {
		if at == step {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
}

// TestScripts plays the transcripts: the real program, the real clients, and where a script serves with
// --engine docker, the real engine.
func TestScripts(t *testing.T) {
	t.Parallel()
	var networks atomic.Int32
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			g := &gatewayUnderTest{dir: e.WorkDir, network: int(networks.Add(1))}
			e.Values["gateway"] = g
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("NETWORK", g.networks())
			e.Setenv("IMAGE", g.imageName())
			e.Setenv("DATA", filepath.Join(e.WorkDir, "data"))
			for _, name := range []string{"GODEBUG", "GLIBC_TUNABLES", "OPENSSL_ia32cap"} { // test/kernel's processor has less
				e.Setenv(name, os.Getenv(name))
			}
			e.Defer(g.clean)
			return g.makeKeys()
		},
		Condition: func(cond string) (bool, error) { return condition(t, cond) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve":  serveScript,
			"halt":   haltScript,
			"people": people,
			"as":     as,
			"exits":  exits,
			"until":  until,
			"within": within,
			"get":    get,
			"docker": docker,
			"field":  field,
			"bytes":  bytesOf,
			"relay":  relay,
			"school": school,
			"visits": visits,
			"keep":   keep,
			"dns":    dnsScript,
			"ports":  ports,
			"daemon": daemon,
			"fill":   fill,
			"disk":   disk,
			"pebble": pebble,
			"image":  image,
			"vlan":   vlan,
			"clock":  clock,
		},
	})
}

// TestScriptsGoOn: testscript has a "stop" of its own, which ends a script as passed.
func TestScriptsGoOn(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 0 && f[0] == "stop" {
				t.Errorf("%s: what comes after %q is not played: write halt", name, line)
			}
		}
	}
}

// condition lets a script ask for a tool: "[!docker] skip". Where NUAGE_MUST names the tool, it has to be there.
func condition(t *testing.T, tool string) (bool, error) {
	has := map[string]func() bool{
		"docker": func() bool {
			return exec.Command("docker", "image", "inspect", "nuage/php:8.2").Run() == nil
		},
		"root":    func() bool { return os.Geteuid() == 0 },
		"macvlan": hasMACVLAN,
		"quota":   hasQuotas,
		"uml":     inUserModeLinux,
		"pebble":  func() bool { _, err := pebbletest.Build(); return err == nil },
	}[tool]
	if has == nil {
		has = func() bool { _, err := exec.LookPath(tool); return err == nil }
	}
	ok := has()
	for _, must := range strings.Split(os.Getenv("NUAGE_MUST"), ",") {
		if must == tool && !ok {
			t.Errorf("%s was promised by NUAGE_MUST and is not here", tool)
		}
	}
	return ok, nil
}
