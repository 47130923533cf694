package command

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"plil.net/nuage/provision/fake"
)

func FuzzRun(f *testing.F) {
	for _, c := range commands() {
		f.Add(c.examples[0], "")
	}
	for _, s := range []string{"", "--", "-- --", "'", `"`, `\`, "site -h -", "help --json -- -", "\x00", "run a -- b", "--json=", "-", "---", "-=", "--=x", "help help help", "site set x ="} {
		f.Add(s, "ssh-ed25519 AAAA")
	}
	engine := fake.New()
	w := newWorldOn(f, still{engine}, engine)
	f.Fuzz(func(t *testing.T, line, stdin string) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if strings.Contains(line, "-f") {
			cancel() // it would follow
		}
		for _, who := range []string{"alice", "root"} {
			var stderr bytes.Buffer
			status := Run(ctx, Call{Cloud: w.Cloud, Who: w.who[who], Stdin: strings.NewReader(stdin), Stdout: io.Discard, Stderr: &stderr}, line)
			text := stderr.String()
			if status == 1 || status < 0 || status > 130 || strings.ContainsAny(text, "\x1b\x00\x07\u009b") {
				t.Fatalf("%q exits %d: %q", line, status, text)
			}
		}
	})
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"a b", "'a b' c", `a\ b`, `"a\"b"`, "'", "a'b'\"c\"", "\\\n", "é 'ü'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := split(line)
		if err != nil {
			return
		}
		quoted := make([]string, len(words))
		for i, w := range words {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		again, err := split(strings.Join(quoted, " "))
		if err != nil || strings.Join(again, "\x00") != strings.Join(words, "\x00") {
			t.Fatalf("split(%q) = %q, but quoted again it is %q, %v", line, words, again, err)
		}
	})
}
