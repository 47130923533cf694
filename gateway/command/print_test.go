package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

func TestVisible(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain é 漢": "plain é 漢", "\x1b[2J": `\x1b[2J`, "a\nb\tc": `a\nb\tc`, "\u009b": `\u009b`, "\u202e": `\u202e`,
		"\x7f": `\x7f`, "\x9b1m": "\ufffd1m", "it's": "it's",
	} {
		if got := visible(in); got != want {
			t.Errorf("visible(%q) = %q; want %q", in, got, want)
		}
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"plain é", "\x1b[2J", "\u009b\u202e\x7f", "\U000e0001", "<&>", "a\nb"} {
		b := encode(map[string]string{"x": s}, "  ")
		var got map[string]string
		if err := json.Unmarshal(b, &got); err != nil || got["x"] != s {
			t.Errorf("encode(%q) = %s, which reads as %q, %v", s, b, got["x"], err)
		}
		if strings.ContainsAny(string(b), "\x1b\u009b\u202e\x7f\U000e0001") {
			t.Errorf("encode(%q) = %q lets controls through", s, b)
		}
	}
}

func TestHarmless(t *testing.T) {
	t.Parallel()
	text := "é\x1b[31m\u009b漢\r\nx\ty\xff\r"
	var whole bytes.Buffer
	_, _ = (&harmless{to: &whole}).Write([]byte(text))
	var piecewise bytes.Buffer
	h := &harmless{to: &piecewise}
	for i := range len(text) {
		_, _ = h.Write([]byte{text[i]})
	}
	want := "é\\x1b[31m\\u009b漢\nx\ty\ufffd\\r"
	if whole.String() != want {
		t.Errorf("shows %q; want %q", &whole, want)
	}
	if strings.ReplaceAll(piecewise.String(), `\r`, "") != strings.ReplaceAll(want, `\r`, "") {
		t.Errorf("byte by byte it shows %q", &piecewise)
	}
}

func TestFail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		text   string
	}{
		{nil, 0, ""},
		{cloud.Errorf(cloud.Quota, "you have %d", 3).WithHint("a\nb"), 7, "nuage: you have 3\nhint: a\nhint: b\n"},
		{fmt.Errorf("x: %w", cloud.Errorf(cloud.Denied, "no \x1b[2J")), 5, "nuage: no \\x1b[2J\n"},
		{context.Canceled, 130, "nuage: cancelled\n"},
		{errors.New("open /var/lib/secret"), 1, "nuage: something broke on our side\nhint: try again, or tell your admin when it was\n"},
	} {
		var b bytes.Buffer
		if status := Fail(&b, c.err, false); status != c.status || b.String() != c.text {
			t.Errorf("Fail(%v) = %d, %q; want %d, %q", c.err, status, &b, c.status, c.text)
		}
		b.Reset()
		var got map[string]failure
		if status := Fail(&b, c.err, true); status != c.status || c.err != nil && json.Unmarshal(b.Bytes(), &got) != nil {
			t.Errorf("Fail(%v) = %d, %s", c.err, status, &b)
		}
	}
}

func TestAgo(t *testing.T) {
	t.Parallel()
	j := &job{Call: Call{Cloud: &cloud.Cloud{Options: cloud.Options{Now: func() time.Time { return today }}}}}
	for back, want := range map[time.Duration]string{
		0: "just now", 59 * time.Second: "just now", 3 * time.Minute: "3 min ago", 5*time.Hour + time.Minute: "5 h ago",
		25 * time.Hour: "1 day ago", 6 * 24 * time.Hour: "6 days ago", 7 * 24 * time.Hour: "2026-11-02", -time.Hour: "2026-11-09",
	} {
		if got := j.ago(today.Add(-back)); got != want {
			t.Errorf("%v ago is %q; want %q", back, got, want)
		}
	}
	if got := j.ago(time.Time{}); got != "never" {
		t.Errorf("no time is %q", got)
	}
}

func TestSince(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Time{
		"1h": today.Add(-time.Hour), "90m": today.Add(-90 * time.Minute), "7d": today.AddDate(0, 0, -7), "0s": today,
		"2026-11-02": time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC), "2026-11-02T15:04:05+01:00": time.Date(2026, 11, 2, 14, 4, 5, 0, time.UTC),
	} {
		if got, err := since(in, today); err != nil || !got.Equal(want) {
			t.Errorf("since(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "x", "-1h", "-1d", "99999999d", "1", "d", "tomorrow"} {
		if got, err := since(in, today); cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("since(%q) = %v, %v; want invalid", in, got, err)
		}
	}
}

// TestNarrow: only what may shrink is cut where the terminal is narrow; without one nothing is.
func TestNarrow(t *testing.T) {
	t.Parallel()
	columns := []column{{title: "KEY"}, {title: "LABEL", shrinks: true}, {title: "WHEN"}}
	row := []string{"SHA256:abc", strings.Repeat("é", 30), "just now"}
	for width, want := range map[uint16]string{
		0:  "SHA256:abc  " + row[1] + "  just now",
		40: "SHA256:abc  " + strings.Repeat("é", 17) + "…  just now",
		5:  "SHA256:abc  " + strings.Repeat("é", 7) + "…  just now",
	} {
		var b bytes.Buffer
		j := &job{Call: Call{Stdout: &b}, term: &terminal{size: cloud.WindowSize{Columns: width}}}
		j.rows(columns, [][]string{{row[0], row[1], row[2]}})
		if lines := strings.Split(b.String(), "\n"); lines[1] != want {
			t.Errorf("at %d columns: %q; want %q", width, lines[1], want)
		}
	}
}

// TestHostileLabel: what a person may name freely never reaches a terminal raw.
func TestHostileLabel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	status, _, _ := w.run(t, "alice", "key add --label 'x\u202ey\u0085'", publicKey(7))
	if status != 0 {
		t.Fatalf("exits %d", status)
	}
	w.run(t, "alice", "site create '\x1b]0;owned\x07'", "")
	for _, line := range []string{"key list --account alice", "key list --account alice --json", "audit", "audit --json"} {
		if out := w.must(t, "root", line); strings.ContainsAny(out, "\x1b\x07\u202e\u0085") {
			t.Errorf("%s prints %q", line, out)
		}
	}
}
