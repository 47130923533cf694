package main

import (
	"fmt"
	"os"
	"os/exec"

	"github.com/rogpeppe/go-internal/testscript"
)

// vlan makes v$NETWORK, an interface of this host with a cable to nowhere, for a group to have as its parent.
func vlan(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: vlan")
	}
	name := "v" + of(ts).networks()
	ts.Defer(func() { _ = exec.Command("ip", "link", "delete", name).Run() }) // once the containers are gone, or before
	ts.Check(cable(name))
}

func cable(name string) error {
	for _, args := range [][]string{
		{"link", "add", name, "type", "veth", "peer", "name", "p" + name[1:]},
		{"link", "set", name, "up"},
		{"link", "set", "p" + name[1:], "up"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
	}
	return nil
}

// hasMACVLAN tries whether the kernel has what the sites of a VLAN need.
func hasMACVLAN() bool {
	name := fmt.Sprintf("vtry%d", os.Getpid())
	if cable(name) != nil {
		return false
	}
	defer func() { _ = exec.Command("ip", "link", "delete", name).Run() }()
	return exec.Command("ip", "link", "add", "link", name, "name", "m"+name[1:], "type", "macvlan", "mode", "private").Run() == nil
}
