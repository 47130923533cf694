package command

import (
	"strings"
	"testing"

	"plil.net/nuage/cloud"
)

// TestAsIsForAdmins goes through all commands: --as is known to each, leads members nowhere, and shows admins what the other
// may see.
func TestAsIsForAdmins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range commands() {
		line := "--as bob " + lineFor(c, "bob")
		status, out, err := w.run(t, "alice", line, "")
		if status != cloud.Denied.Exit() || out != "" || !strings.Contains(err, "this is for admins") {
			t.Errorf("alice: %s: exits %d with %q, %q", line, status, out, err)
		}
		if c.who != admins {
			continue
		}
		if status, out, err := w.run(t, "root", line, ""); status != cloud.Denied.Exit() || out != "" || !strings.Contains(err, "this is for admins") {
			t.Errorf("root: %s: exits %d with %q, %q", line, status, out, err)
		}
	}
	var denied int
	err := w.Audit(t.Context(), w.who["root"], cloud.EventFilter{Account: "alice"}, false, func(e cloud.Event) error {
		if e.Action == cloud.AccountAs && e.Target == "bob" && e.Result == string(cloud.Denied) {
			denied++
		}
		return nil
	})
	if err != nil || denied != len(commands()) {
		t.Errorf("the audit has %d of %d refusals (%v)", denied, len(commands()), err)
	}
}
