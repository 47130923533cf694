package cloud

import (
	"errors"
	"strings"
	"testing"
)

var served = Domains{"plil.net", "etu.plil.net", "asso.example"}

func TestParseSiteName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"blog":                  "blog.plil.net",
		"blog.plil.net":         "blog.plil.net",
		"a":                     "a.plil.net",
		"7-up":                  "7-up.plil.net",
		"etu.plil.net":          "etu.plil.net", // a first label under plil.net like any other
		"blog.etu.plil.net":     "blog.etu.plil.net",
		"chess.asso.example":    "chess.asso.example",
		strings.Repeat("x", 63): strings.Repeat("x", 63) + ".plil.net",
	} {
		if got, err := served.Parse(in); got != want || err != nil {
			t.Errorf("Parse(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestParseSiteNameRefuses(t *testing.T) {
	t.Parallel()
	for in, says := range map[string]string{
		"":                      "empty",
		"..":                    "not valid",
		".":                     "not valid",
		"../../etc":             "not directly under",
		"my site":               "not valid",
		"Blog":                  "upper-case",
		"BLOG.plil.net":         "upper-case",
		"-x":                    "not valid",
		"x-":                    "not valid",
		"x_y":                   "not valid",
		"x\x00":                 "not valid",
		"x\n":                   "not valid",
		"é":                     "not valid",
		strings.Repeat("x", 64): "the limit is 63",
		"xn--caf-dma":           "punycode",
		"xn--caf-dma.plil.net":  "punycode",
		"192.0.2.1":             "address",
		"2001:db8::1":           "address",
		"[::1]":                 "address",
		"www":                   "reserved",
		"admin":                 "reserved",
		"www.plil.net":          "reserved",
		"blog.example.org":      "not directly under",
		"a.b.plil.net":          "not directly under",
		".plil.net":             "not valid",
		"blog.plil.net.":        "not directly under",
		"x..plil.net":           "not valid",
	} {
		got, err := served.Parse(in)
		var e *Error
		if !errors.As(err, &e) || e.Kind != Invalid || !strings.Contains(e.Message, says) {
			t.Errorf("Parse(%q) = %q, %v; want an invalid one that says %q", in, got, err, says)
		}
	}
}

func TestUserName(t *testing.T) {
	t.Parallel()
	for user, site := range map[string]string{
		"blog.plil.net":  "blog.plil.net",
		"Blog.Plil.Net":  "blog.plil.net",
		"x.asso.example": "x.asso.example",
		"jean.dupont":    "",
		"root":           "",
		"":               "",
		"plil.net":       "",
		"notplil.net":    "",
	} {
		if got, ok := served.User(user); got != site || ok != (site != "") {
			t.Errorf("User(%q) = %q, %v; want %q", user, got, ok, site)
		}
	}
}

func TestHintsAreNamesThatWork(t *testing.T) {
	t.Parallel()
	_, err := served.Parse("Blog")
	var e *Error
	if !errors.As(err, &e) || e.Hint != `try "blog"` {
		t.Errorf("hint for Blog: %v", e)
	}
}

func FuzzParseSiteName(f *testing.F) {
	for _, s := range []string{"blog", "blog.plil.net", "..", "xn--a", "192.0.2.1", "a.b.c", "x\x00", "É"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := served.Parse(s)
		if err != nil {
			if KindOf(err) != Invalid {
				t.Fatalf("Parse(%q): kind %q", s, KindOf(err))
			}
			return
		}
		first, _, _ := strings.Cut(name, ".")
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || strings.Contains(name, "..") || len(first) > 63 {
			t.Fatalf("Parse(%q) let %q through", s, name)
		}
		if again, err := served.Parse(name); again != name || err != nil {
			t.Fatalf("Parse(%q) = %q, but Parse of that = %q, %v", s, name, again, err)
		}
	})
}
