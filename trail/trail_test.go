package trail

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"go.uber.org/goleak"

	"plil.net/nuage/cloud"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func open(t *testing.T, path string) *Trail {
	t.Helper()
	trail, err := Open(Options{File: path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return trail
}

func soon(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// TestRotation: the file is renamed and deleted under the trail, and no line is lost or cut.
func TestRotation(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	trail := open(t, path)
	saw := func(n int) {
		trail.Saw(cloud.Event{Seq: uint64(n), Account: "ada\n", Action: cloud.Login, Time: time.Unix(1, 0)})
	}
	saw(1)
	soon(t, "the first line", func() bool { return len(lines(t, path)) == 1 })
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	for n := range 1000 {
		saw(2 + n)
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	all := append(lines(t, path+".1"), lines(t, path)...)
	if len(all) != 1001 || trail.Lost() != 0 {
		t.Fatalf("%d lines, %d lost", len(all), trail.Lost())
	}
	for i, line := range all {
		var e cloud.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Seq != uint64(i+1) || e.Account != "ada\n" {
			t.Fatalf("line %d: %v %s", i, err, line)
		}
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("others can read it: %v %v", fi.Mode(), err)
	}
}

// TestNoRoom: a disk that takes nothing stops nobody, and what is lost is counted.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	trail := open(t, filepath.Join(dir, "audit.jsonl"))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for range 2 * queued {
		trail.Saw(cloud.Event{})
	}
	if err := trail.Close(); err != nil {
		t.Error(err)
	}
	if trail.Lost() != 2*queued {
		t.Errorf("%d lost", trail.Lost())
	}
	if _, err := Open(Options{File: dir + "/x", Log: slog.Default()}); cloud.KindOf(err) != cloud.Invalid || !strings.Contains(fmt.Sprint(err), "no such file") {
		t.Errorf("a file in no directory: %v", err)
	}
}

// TestTerminalRegression: an SSH user name with controls that JSON does not escape, C1 among them, reached the terminal of who
// read the file.
func TestTerminalRegression(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	trail := open(t, path)
	const user = "\x1b[2J\u009b2J\x7f\u202e\U000e0041 é\n{}"
	trail.Saw(cloud.Event{Seq: 1, Target: user, Action: cloud.Login, Time: time.Unix(1, 0)})
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	all := lines(t, path)
	if len(all) != 1 || strings.IndexFunc(all[0], func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 || !strings.Contains(all[0], "é") {
		t.Fatalf("%q", all)
	}
	var e cloud.Event
	if err := json.Unmarshal([]byte(all[0]), &e); err != nil || e.Target != user {
		t.Errorf("%v: %q", err, e.Target)
	}
}
