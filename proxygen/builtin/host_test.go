package builtin_test

import (
	"strings"
	"testing"

	"plil.net/nuage/proxygen/builtin"
)

func TestNormalHost(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"blog.test": "blog.test", "Blog.TEST": "blog.test", "blog.test.": "blog.test",
		"blog.test:8080": "blog.test", "blog.test.:80": "blog.test", "blog.test:": "blog.test",
		"127.0.0.1:80": "127.0.0.1", "[::1]": "::1", "[::1]:8080": "::1", "[0:0::1]": "::1", "::1": "::1",
		"": "", ":80": "", ".": "", "a b": "", "a/b": "", "a:b": "", "a:123456": "", "[::1": "", "[::1]x": "", "[a]": "",
		"[::1]:x": "", "[fe80::1%eth0]": "", "é.test": "", "a\x00b": "", "a@b": "",
	} {
		got, ok := builtin.NormalHost(in)
		if ok != (want != "") || (ok && got != want) {
			t.Errorf("normalHost(%q) = %q, %v; want %q", in, got, ok, want)
		}
	}
}

func FuzzNormalHost(f *testing.F) {
	for _, s := range []string{"blog.test", "BLOG.test.:80", "[::1]:8080", "::ffff:1.2.3.4", "a..", "[::1", ":"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, ok := builtin.NormalHost(s)
		if !ok {
			return
		}
		if host == "" || host != strings.ToLower(host) || strings.ContainsAny(host, "/@[]\\ \x00\r\n\"<>") {
			t.Fatalf("normalHost(%q) = %q", s, host)
		}
		bracketed := host
		if strings.Contains(host, ":") {
			bracketed = "[" + host + "]"
		}
		for _, same := range []string{bracketed, bracketed + ":8080", strings.ToUpper(bracketed)} {
			again, ok := builtin.NormalHost(same)
			if strings.HasSuffix(host, ".") {
				continue // "a.." is "a." here: two dots are no host anybody is served under
			}
			if !ok || again != host {
				t.Fatalf("normalHost(%q) = %q, but normalHost(%q) = %q, %v", s, host, same, again, ok)
			}
		}
	})
}
