package provision_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"plil.net/nuage/provision"
)

// TestLastWords: what is kept of a log is short, however long its lines are and however they come.
func TestLastWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pieces []string
		want   string
	}{
		{nil, ""},
		{[]string{"\n\n"}, ""},
		{[]string{"one\ntwo\n"}, "one\ntwo"},
		{[]string{"o", "ne\nt", "wo"}, "one\ntwo"},
		{[]string{strings.Repeat("a", 256) + "\nb"}, strings.Repeat("a", 256) + "\nb"},
		{[]string{strings.Repeat("a", 200), strings.Repeat("a", 1<<20) + "\nb"}, strings.Repeat("a", 256) + "…\nb"},
		{[]string{strings.Repeat("line\n", 1000)}, strings.TrimSpace(strings.Repeat("line\n", 10))},
	} {
		if got := provision.Excerpt(c.pieces...); got != c.want {
			t.Errorf("of %.40q… %d bytes %.300q, want %d", c.pieces, len(got), got, len(c.want))
		}
	}
	if got := provision.Excerpt(strings.Repeat("é", 1000), "\n\xff"); !utf8.ValidString(got) || len(got) > 300 {
		t.Errorf("%d bytes %q", len(got), got)
	}
	odd := provision.Excerpt("a" + strings.Repeat("é", 1000))
	if !utf8.ValidString(odd) || len(odd) > 300 {
		t.Errorf("%d bytes %q", len(odd), odd)
	}
}
