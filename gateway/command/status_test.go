package command

import (
	"strings"
	"testing"
)

// TestStatusAtNight: what an admin should look at is there in words, with the names and the reasons.
func TestStatusAtNight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, site := range []string{"ends", "held"} {
		w.must(t, "alice", "site create "+site)
	}
	has := func(lines ...string) {
		t.Helper()
		out := w.must(t, "root", "status")
		for _, line := range lines {
			if !strings.Contains("\n"+out, "\n"+line+"\n") {
				t.Errorf("no line %q in\n%s", line, out)
			}
		}
	}
	has("sites        2: 2 running", "waiting      nothing", "repairs      none since the start")

	w.engine.SetImage("", "sha256:0123456789abcdef", false)
	has("waiting      2 to take one at the next wake or restart")
	if _, _, talk := w.run(t, "alice", "site restart held", ""); !strings.Contains(talk, "It runs on the image it had, because the new one did not come up: its image is broken") {
		t.Errorf("restart: %q", talk)
	}
	w.engine.SetImage("", "standard", false)
	if status, _, _ := w.run(t, "alice", "site restart ends", ""); status != 8 {
		t.Errorf("restart of what does not come up: %d", status)
	}
	has("sites        2: 1 failed, 1 running", "waiting      nothing",
		`failed: ends.plil.test: site "ends.plil.test" did not come up`,
		"image 0123456789ab: 1 on the one before, such as held.plil.test: its image is broken",
		"repairs      1 since the start, the last ones:",
		`  just now  site "held.plil.test" stays on the image it had, because the new one did not come up: its image is broken`)
	info := w.must(t, "alice", "site info held")
	if !strings.Contains(info, "image       the one before: the new one did not come up just now: its image is broken; try it again: ssh ") {
		t.Errorf("info: %s", info)
	}
	if out := w.must(t, "root", "status --json"); !strings.Contains(out, `"sites_held": [`) || !strings.Contains(out, `"sites_full": []`) {
		t.Errorf("json: %s", out)
	}
}

func TestOnlyTheLastRepairsAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, "alice", "site create held")
	w.engine.SetImage("", "broken", false)
	for range 12 {
		w.must(t, "alice", "site restart held")
	}
	out := w.must(t, "root", "status")
	if n := strings.Count(out, "stays on the image"); n != 10 || !strings.Contains(out, "  and 2 more: ssh ") {
		t.Errorf("%d repairs in\n%s", n, out)
	}
}

// TestRootCA is printed alone, for a file; the page of status only says how.
func TestRootCA(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if out := w.must(t, "root", "status"); strings.Contains(out, "BEGIN") || !strings.Contains(out, "status --root-ca > nuage.pem") {
		t.Errorf("status: %s", out)
	}
	if out := w.must(t, "root", "status --root-ca"); out != "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n" {
		t.Errorf("the certificate: %q", out)
	}
	w.Cloud.RootCA = ""
	if status, _, talk := w.run(t, "root", "status --root-ca", ""); status != 4 || !strings.Contains(talk, "no authority of its own") {
		t.Errorf("without one: %d, %s", status, talk)
	}
}
