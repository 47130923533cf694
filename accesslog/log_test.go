package accesslog_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"plil.net/nuage/accesslog"
	"plil.net/nuage/cloud"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open makes a log for the site "s1", and says where its directory is.
func open(t *testing.T, size int64) (*accesslog.Log, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "s1"), 0o755); err != nil {
		t.Fatal(err)
	}
	l := accesslog.New(dir, accesslog.Options{Size: size})
	t.Cleanup(l.Close)
	return l, filepath.Join(dir, "s1")
}

func hit(path string) cloud.Hit {
	return cloud.Hit{Time: time.Now().UTC(), ID: "i", Client: "::1", Method: "GET", Host: "a.test", Path: path, Proto: "HTTP/1.1", Status: 200, Bytes: 7}
}

var all = cloud.HitFilter{Tail: -1}

func paths(t *testing.T, l *accesslog.Log, f cloud.HitFilter) (got []string) {
	t.Helper()
	err := l.Read(t.Context(), "s1", f, func(h cloud.Hit) error {
		got = append(got, h.Path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// soon polls until ok, for a bounded time.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func TestWhatIsNotedIsRead(t *testing.T) {
	t.Parallel()
	l, _ := open(t, 0)
	if got := paths(t, l, all); len(got) != 0 {
		t.Errorf("a site nobody asked for has %q", got)
	}
	want := hit("/a?b")
	want.TLS, want.Millis, want.Agent, want.Referer = true, 1.5, "curl", "http://x.test/"
	l.Note("s1", want)
	soon(t, "one hit", func() bool { return len(paths(t, l, all)) == 1 })
	_ = l.Read(t.Context(), "s1", all, func(h cloud.Hit) error {
		if h != want {
			t.Errorf("got %+v, want %+v", h, want)
		}
		return nil
	})
	for i := range 9 {
		l.Note("s1", hit(fmt.Sprintf("/%d", i)))
	}
	soon(t, "ten hits", func() bool { return len(paths(t, l, all)) == 10 })
	if got := strings.Join(paths(t, l, cloud.HitFilter{Tail: 2}), " "); got != "/7 /8" {
		t.Errorf("the last two are %q", got)
	}
	if got := paths(t, l, cloud.HitFilter{Tail: -1, Since: time.Now().Add(time.Hour)}); len(got) != 0 {
		t.Errorf("the future holds %q", got)
	}
	stop := errors.New("enough")
	if err := l.Read(t.Context(), "s1", all, func(cloud.Hit) error { return stop }); err != stop {
		t.Errorf("a reader that has enough: %v", err)
	}
}

// TestRotates keeps a site's log bounded, and drops the oldest.
func TestRotates(t *testing.T) {
	t.Parallel()
	const size = 64 << 10
	l, dir := open(t, size)
	for i := range 3000 {
		l.Note("s1", hit(fmt.Sprintf("/%04d", i)))
		if i%50 == 0 { // as they would come: not all in one batch
			soon(t, "written", func() bool {
				return strings.HasSuffix(strings.Join(paths(t, l, cloud.HitFilter{Tail: 1}), ""), fmt.Sprintf("/%04d", i))
			})
		}
	}
	soon(t, "the last", func() bool { return strings.Join(paths(t, l, cloud.HitFilter{Tail: 1}), "") == "/2999" })
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	var sum int64
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		sum += info.Size()
	}
	if len(names) != 4 || sum > size+size/2 || sum < size/2 {
		t.Errorf("%d files of %d bytes", len(names), sum)
	}
	got := paths(t, l, all)
	for i, p := range got {
		if want := fmt.Sprintf("/%04d", 3000-len(got)+i); p != want {
			t.Fatalf("hit %d is %q, want %q", i, p, want)
		}
	}
}

// TestFollowsThroughRotation reads each hit once while files are rotated below it, and ends with the site.
func TestFollowsThroughRotation(t *testing.T) {
	t.Parallel()
	l, dir := open(t, 64<<10)
	var mu sync.Mutex
	var got []string
	ended := make(chan error)
	go func() {
		ended <- l.Read(context.Background(), "s1", cloud.HitFilter{Tail: -1, Follow: true}, func(h cloud.Hit) error {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, h.Path)
			return nil
		})
	}()
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(got) }
	for i := range 1000 {
		l.Note("s1", hit(fmt.Sprintf("/%d", i)))
		if i%20 == 0 {
			soon(t, "followed", func() bool { return count() == i+1 })
		}
	}
	soon(t, "all", func() bool { return count() == 1000 })
	for i, p := range got {
		if p != fmt.Sprintf("/%d", i) {
			t.Fatalf("hit %d is %q", i, p)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	l.Forget("s1")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	l.Note("s1", hit("/late"))
	l.Close()
	if _, err := os.Stat(dir); err == nil || l.Dropped() != 0 {
		t.Errorf("a late hit of a deleted site: %v, %d dropped", err, l.Dropped())
	}
}

func TestFollowEndsWithItsReader(t *testing.T) {
	t.Parallel()
	l, _ := open(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- l.Read(ctx, "s1", cloud.HitFilter{Follow: true}, func(cloud.Hit) error { return nil })
	}()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestBytesOfVisitors: whatever is in a request, its line is one line, and no terminal obeys it.
func TestBytesOfVisitors(t *testing.T) {
	t.Parallel()
	l, dir := open(t, 0)
	h := hit("/\x1b[2J\n\r\"\\\x00\x7f\u009b31m\u202e\u2028\xff\U0001F600é")
	h.Agent = "a\nb {\"dropped\":9}"
	l.Note("s1", h)
	l.Note("s1", hit("/next"))
	l.Close()
	text, err := os.ReadFile(filepath.Join(dir, "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range text {
		if c != '\n' && (c < ' ' || c > '~') {
			t.Fatalf("byte %#x in %q", c, text)
		}
	}
	if n := strings.Count(string(text), "\n"); n != 2 {
		t.Errorf("%d lines in %q", n, text)
	}
	got := paths(t, l, all)
	if want := strings.ToValidUTF8(h.Path, "\ufffd"); len(got) != 2 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestTornLine goes on after a line that a crash has cut, and skips what is no line of ours.
func TestTornLine(t *testing.T) {
	t.Parallel()
	l, dir := open(t, 0)
	torn := "garbage\n" + strings.Repeat("x", 200<<10) + "\n" + `{"time":"2026-01-01T0`
	if err := os.WriteFile(filepath.Join(dir, "access.log"), []byte(torn), 0o600); err != nil {
		t.Fatal(err)
	}
	l.Note("s1", hit("/after"))
	soon(t, "the hit", func() bool { return strings.Join(paths(t, l, all), " ") == "/after" })
}

// TestCountsWhatItCannotKeep: a disk that refuses costs hits, and the log says how many once it can.
func TestCountsWhatItCannotKeep(t *testing.T) {
	t.Parallel()
	l, dir := open(t, 0)
	obstacle := filepath.Join(dir, "access.log")
	if err := os.Mkdir(obstacle, 0o755); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		l.Note("s1", hit("/lost"))
	}
	soon(t, "five dropped", func() bool { return l.Dropped() == 5 })
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	l.Note("s1", hit("/kept"))
	var missing, kept int64
	soon(t, "kept", func() bool {
		missing, kept = 0, 0
		_ = l.Read(t.Context(), "s1", all, func(h cloud.Hit) error {
			missing += h.Dropped
			if h.Dropped == 0 {
				kept++
			}
			return nil
		})
		return kept == 1
	})
	if missing != 5 {
		t.Errorf("the log says that %d are missing", missing)
	}
}

// TestAFullQueue never makes a request wait, and loses no count.
func TestAFullQueue(t *testing.T) {
	t.Parallel()
	l, _ := open(t, 1<<30)
	const n = 100_000
	var noting sync.WaitGroup
	for range 4 {
		noting.Go(func() {
			for range n / 4 {
				l.Note("s1", hit("/"))
			}
		})
	}
	noting.Wait()
	l.Close()
	var kept, missing int64
	_ = l.Read(t.Context(), "s1", all, func(h cloud.Hit) error {
		if missing += h.Dropped; h.Dropped == 0 {
			kept++
		}
		return nil
	})
	if kept+missing != n || missing != l.Dropped() {
		t.Errorf("%d kept and %d missing of %d; %d dropped", kept, missing, n, l.Dropped())
	}
}

// TestForgetsTheOld: what is a quarter of the time old is moved on, and what is older than that is removed.
func TestForgetsTheOld(t *testing.T) {
	t.Parallel()
	l, dir := open(t, 0)
	year := 365 * 24 * time.Hour
	write := func(name string, age time.Duration) {
		t.Helper()
		then := time.Now().Add(-age)
		line := fmt.Sprintf("{\"time\":%q,\"path\":\"/%s\"}\n", then.UTC().Format(time.RFC3339Nano), name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, name), then, then); err != nil {
			t.Fatal(err)
		}
	}
	write("access.log", year/3)
	write("access.log.1", year*2/3)
	write("access.log.2", year+time.Hour)
	l.Note("s1", hit("/new"))
	soon(t, "the new one", func() bool { return strings.HasSuffix(strings.Join(paths(t, l, all), " "), "/new") })
	if got := strings.Join(paths(t, l, all), " "); got != "/access.log.1 /access.log /new" {
		t.Errorf("got %q", got)
	}
}

// TestLinesOfAClockAhead are in no report since a time, and hold up the age of no file.
func TestLinesOfAClockAhead(t *testing.T) {
	t.Parallel()
	l, dir := open(t, 0)
	ahead := hit("/ahead")
	ahead.Time = ahead.Time.AddDate(10, 0, 0)
	l.Note("s1", ahead)
	soon(t, "the one ahead", func() bool { return len(paths(t, l, all)) == 1 })
	l.Note("s1", hit("/right"))
	soon(t, "both", func() bool { return strings.Join(paths(t, l, all), " ") == "/ahead /right" })
	if got := paths(t, l, cloud.HitFilter{Tail: -1, Since: time.Now().Add(-time.Hour)}); strings.Join(got, " ") != "/right" {
		t.Errorf("of the last hour: %q", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "access.log.1")); err != nil {
		t.Errorf("the file that begins in ten years goes on: %v", err)
	}
}
