package proxygen_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"plil.net/nuage/proxygen"
)

// reader is a Tail that runs and keeps what it takes.
type reader struct {
	file string
	mu   sync.Mutex
	got  []string
}

// run reads the file until end is called.
func (r *reader) run(t *testing.T) (end func()) {
	t.Helper()
	tail := &proxygen.Tail{File: r.file, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Take: func(line []byte) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, string(line))
	}}
	if err := tail.Make(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { tail.Run(ctx) })
	end = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(end)
	return end
}

func (r *reader) taken() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// wait waits for the line numbers, each once and in order.
func (r *reader) wait(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); len(r.taken()) < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("only %d of %d lines", len(r.taken()), n)
		}
	}
	for i, line := range r.taken() {
		if number, _, _ := strings.Cut(line, " "); number != fmt.Sprint(i) {
			t.Fatalf("line %d is %.40q", i, line)
		}
	}
}

// add appends lines as another program does, and returns how many there are by now.
func add(t *testing.T, f *os.File, from, n, width int) int {
	t.Helper()
	for i := range n {
		if _, err := fmt.Fprintf(f, "%d %s\n", from+i, strings.Repeat("x", width)); err != nil {
			t.Fatal(err)
		}
	}
	return from + n
}

func appender(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestTailOverRestarts: each line is taken once, in order, over restarts of the reader and of the writer, over rotation,
// and what is taken is no longer on the disk.
func TestTailOverRestarts(t *testing.T) {
	t.Parallel()
	r := &reader{file: filepath.Join(t.TempDir(), "access.log")}
	end := r.run(t)
	f := appender(t, r.file)
	n := add(t, f, 0, 20_000, 100)
	r.wait(t, n)
	end()

	n = add(t, f, n, 1000, 100) // while nobody reads
	if _, err := f.WriteString("21000 half"); err != nil {
		t.Fatal(err)
	}
	end = r.run(t)
	r.wait(t, n)
	if _, err := f.WriteString(" and half\n"); err != nil {
		t.Fatal(err)
	}
	n++
	r.wait(t, n)

	if err := os.Rename(r.file, r.file+".1"); err != nil {
		t.Fatal(err)
	}
	n = add(t, f, n, 100, 100) // the writer has not heard of it yet
	r.wait(t, n)
	f = appender(t, r.file)
	n = add(t, f, n, 100, 100)
	r.wait(t, n)

	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	n = add(t, f, n, 50, 100) // what is as long again before anybody looks cannot be told from what was always so long
	r.wait(t, n)
	end()
	for _, name := range []string{r.file, r.file + ".1"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if used := info.Sys().(*syscall.Stat_t).Blocks * 512; used > 64<<10 {
			t.Errorf("%s still has %d bytes on the disk", filepath.Base(name), used)
		}
	}
}

// TestTailSkipsNonsense: a line that is too long is left out, and the ones around it are not.
func TestTailSkipsNonsense(t *testing.T) {
	t.Parallel()
	r := &reader{file: filepath.Join(t.TempDir(), "access.log")}
	r.run(t)
	f := appender(t, r.file)
	add(t, f, 0, 1, 10)
	if _, err := f.WriteString(strings.Repeat("long", 400<<10) + "\n\n"); err != nil {
		t.Fatal(err)
	}
	add(t, f, 1, 1, 10)
	r.wait(t, 2)
}

// TestTailIsBounded: of what came while nobody read, the end is taken; and a file does not look ever longer.
func TestTailIsBounded(t *testing.T) {
	t.Parallel()
	r := &reader{file: filepath.Join(t.TempDir(), "access.log")}
	f := appender(t, r.file)
	const width = 64 << 10
	n := add(t, f, 0, 1200, width) // 75 MiB
	r.run(t)
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		got := r.taken()
		if len(got) > 0 && strings.HasPrefix(got[len(got)-1], fmt.Sprint(n-1)+" ") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it does not come to the end")
		}
	}
	if got := len(r.taken()); got < 1000 || got > 1050 {
		t.Errorf("%d lines of 64 KiB were taken", got)
	}
}
