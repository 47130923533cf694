package main

import (
	"fmt"
	"os"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"

	"plil.net/nuage/home"
)

// hasQuotas tells whether the file system of the scripts holds its users to limits: see test/kernel.
func hasQuotas() bool {
	dir, err := os.MkdirTemp("", "nuage-quota")
	if err != nil {
		return false
	}
	defer os.RemoveAll(dir)
	d, err := home.New(dir)
	return err == nil && d.Quotas() != ""
}

// disk gives the gateway of a script a small disk of its own: disk BYTES. It comes before serve.
func disk(ts *testscript.TestScript, _ bool, args []string) {
	data := ts.Getenv("DATA")
	ts.Check(os.MkdirAll(data, 0o711))
	ts.Check(syscall.Mount("tmpfs", data, "tmpfs", 0, fmt.Sprintf("size=%s,mode=0711", args[0])))
	ts.Defer(func() { _ = syscall.Unmount(data, syscall.MNT_DETACH) })
}
