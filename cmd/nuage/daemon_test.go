package main

import (
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// daemon runs a program until the script ends or "daemon end NAME": daemon NAME PROGRAM ARGS.
func daemon(ts *testscript.TestScript, _ bool, args []string) {
	g := of(ts)
	if args[0] == "end" {
		g.daemons[args[1]]()
		return
	}
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Dir, cmd.Env = g.dir, append(os.Environ(), "HOME="+g.dir, "XDG_DATA_HOME="+g.dir, "XDG_CONFIG_HOME="+g.dir)
	log, err := os.Create(g.path(args[0] + ".log"))
	ts.Check(err)
	cmd.Stdout, cmd.Stderr = log, log
	ts.Check(cmd.Start())
	log.Close()
	end := sync.OnceFunc(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	if g.daemons == nil {
		g.daemons = map[string]func(){}
	}
	g.daemons[args[0]] = end
	ts.Defer(end)
}
