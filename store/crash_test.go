package store_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/store"
)

// victim is the variable that makes this test program do one thing to a store, until it is killed.
const victim = "NUAGE_STORE_VICTIM"

var victims = map[string]func(path string) error{
	"restore": func(path string) error { return store.Restore(path, os.Stdin) },
	"append": func(path string) error {
		b, err := store.Open(path, store.Options{})
		for err == nil {
			var e cloud.Event
			err = b.Update(context.Background(), func(tx cloud.Tx) (err error) {
				e, err = tx.Append(event(1))
				return err
			})
			fmt.Println(e.Seq)
		}
		return err
	},
}

func TestMain(m *testing.M) {
	if does, ok := victims[os.Getenv(victim)]; ok {
		if err := does(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func start(t *testing.T, what, path string, stdin io.Reader) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0], path)
	cmd.Env = append(os.Environ(), victim+"="+what)
	cmd.Stdin = stdin
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, out
}

// TestRestoreKilled: at whatever moment a restore dies, the name leads to the old store or to the new one.
func TestRestoreKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nuage.db")
	sound := file(t, 200, 2000)
	b := open(t, path)
	populate(t, b, 3, 3)
	older := mustDump(t, b)
	b.Close()

	restored := false
	for wait := time.Duration(0); wait < time.Minute && !restored; wait += max(500*time.Microsecond, wait/50) {
		cmd, _ := start(t, "restore", path, bytes.NewReader(sound))
		kill := time.AfterFunc(wait, func() { _ = cmd.Process.Kill() })
		ended := cmd.Wait()
		kill.Stop()
		b := open(t, path)
		text := mustDump(t, b)
		b.Close()
		restored = text != older
		if !restored && ended == nil {
			t.Fatal("restore ended well and did nothing")
		}
		if err := store.Check(path); err != nil {
			t.Fatal(err)
		}
	}
	if !restored {
		t.Fatal("no restore came through")
	}
	b = open(t, path+store.BeforeRestore)
	if mustDump(t, b) != older {
		t.Error("kept something else")
	}
}

// TestRestoreKilledWhileReading: half a backup is no store.
func TestRestoreKilledWhileReading(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nuage.db")
	r, w := io.Pipe()
	cmd, _ := start(t, "restore", path, r)
	sound := file(t, 200, 2000)
	if _, err := w.Write(sound[:len(sound)/2]); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Kill()
	w.Close()
	if err := cmd.Wait(); err == nil {
		t.Error("it was not killed")
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("there is a store: %v", err)
	}
	populate(t, open(t, path), 3, 3)
}

// TestUpdateKilled: what was acknowledged is there after a kill.
func TestUpdateKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nuage.db")
	var last uint64
	for round := range 10 {
		cmd, out := start(t, "append", path, nil)
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if _, err := fmt.Sscan(lines.Text(), &last); err != nil {
				t.Fatal(err)
			}
			if n == 10+round {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
		b := open(t, path)
		var found uint64
		err := b.View(t.Context(), func(tx cloud.Tx) error {
			return tx.Events(cloud.EventFilter{After: last - 1}, func(e cloud.Event) bool { found = max(found, e.Seq); return true })
		})
		if err != nil || found < last {
			t.Errorf("event %d was acknowledged; the last is %d (%v)", last, found, err)
		}
		b.Close()
	}
}
