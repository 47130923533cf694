package command

import (
	"strings"
	"testing"
)

// TestPasswordOfASite is read where nobody sees it, and shown nowhere.
func TestPasswordOfASite(t *testing.T) {
	t.Parallel()
	const secret = "correct horse"
	w := newWorld(t)
	w.must(t, "alice", "site create blog --type static")
	var all strings.Builder

	status, out, talk := w.run(t, "alice", "site set blog password=- --json", secret+"\r\nnot this")
	if status != 0 || !strings.Contains(out, `"password": true`) {
		t.Errorf("status %d: %s%s", status, out, talk)
	}
	all.WriteString(out + talk + w.must(t, "alice", "site info blog") + w.must(t, "alice", "site info blog --json") + w.must(t, "root", "audit --json"))

	p := at(t, w, "alice", "site set blog password=-")
	p.expect("Password: ")
	p.types(secret + "\r")
	all.WriteString(p.expect("with a password"))
	p.ends(0)

	for line, stdin := range map[string]string{
		"site set blog password=short": "", "site set blog password=-": "", "site set blog password=" + strings.Repeat("x", 73): "",
		"site set blog maintenance=perhaps": "",
	} {
		status, _, talk := w.run(t, "alice", line, stdin)
		if status != 3 || strings.Contains(talk, "short") || strings.Contains(talk, "xxx") {
			t.Errorf("%s: status %d: %s", line, status, talk)
		}
	}
	w.must(t, "alice", "site set blog maintenance=on")
	if out := w.must(t, "alice", "site info blog"); !says(out, "in maintenance, with a password") {
		t.Errorf("info: %s", out)
	}
	w.must(t, "alice", "site set blog maintenance= password=")
	if out := w.must(t, "alice", "site info blog --json"); !strings.Contains(out, `"password": false`) || !strings.Contains(out, `"maintenance": false`) {
		t.Errorf("info: %s", out)
	}
	all.WriteString(w.must(t, "root", "audit --json"))
	if s := all.String(); strings.Contains(s, "horse") || strings.Contains(s, "$2a$") {
		t.Errorf("the password is shown: %s", s)
	}
}
