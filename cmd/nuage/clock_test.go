package main

import (
	"bytes"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// inUserModeLinux tells whether the machine is one of test/kernel, of which nobody else asks the time.
func inUserModeLinux() bool {
	text, err := os.ReadFile("/proc/cpuinfo")
	return err == nil && bytes.Contains(text, []byte("User Mode Linux"))
}

// clock sets the machine's clock so far before or behind the right time: clock 8760h, clock -8760h, clock 0.
func clock(ts *testscript.TestScript, _ bool, args []string) {
	if !inUserModeLinux() {
		ts.Fatalf("the clock is not ours to set: make kernel")
	}
	off, err := time.ParseDuration(args[0])
	ts.Check(err)
	g := of(ts)
	if g.right.IsZero() {
		g.right = time.Now()
		ts.Defer(func() { ts.Check(g.setClock(0)) })
	}
	ts.Check(g.setClock(off))
}

func (g *gatewayUnderTest) setClock(off time.Duration) error {
	now := unix.NsecToTimespec(g.right.Add(time.Since(g.right) + off).UnixNano()) // Since counts what has passed, whatever was set
	return unix.ClockSettime(unix.CLOCK_REALTIME, &now)
}
