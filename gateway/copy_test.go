package gateway

import (
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/kballard/go-shellquote"

	"plil.net/nuage/cloud"
)

func underTest(name string) string {
	if strings.Contains(name, ".") {
		return name
	}
	return name + ".plil.net"
}

func TestCopying(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ line, site, want string }{
		// OpenSSH, PuTTY
		{"scp -t blog.plil.net/www/", "blog.plil.net", "scp -t ./www/"},
		{"scp -r -p -d -t -- blog", "blog.plil.net", "scp -r -p -d -t -- ./"},
		{"scp -r -f /blog/www/*.php", "blog.plil.net", "scp -r -f ./www/*.php"},
		{"scp -f ~/blog/a blog.plil.net/b", "blog.plil.net", "scp -f ./a ./b"},
		{"scp -v -f .//blog//a", "blog.plil.net", "scp -v -f .//a"},
		{"scp -t blog/../../etc", "blog.plil.net", "scp -t ./../../etc"},
		// rsync before and after 3.2.4
		{"rsync --server -logDtpre.iLsfxCIvu --delete . blog.plil.net/www/", "blog.plil.net", "rsync --server -logDtpre.iLsfxCIvu --delete . ./www/"},
		{`rsync --server --sender -r . blog/a\ b/*.\$x blog.plil.net/c`, "blog.plil.net", `rsync --server --sender -r . ./a\ b/*.\$x ./c`},
		{"rsync --server --sender -r . blog/", "blog.plil.net", "rsync --server --sender -r . ./"},
		{"rsync --server -r --link-dest /blog/old --temp-dir . . blog/new", "blog.plil.net", "rsync --server -r --link-dest /home/site/old --temp-dir . . ./new"},
		{"rsync --server -r --link-dest ../old . blog/new", "blog.plil.net", "rsync --server -r --link-dest ../old . ./new"},
		// git
		{"git-upload-pack 'blog/my repo.git'", "blog.plil.net", "git-upload-pack ./'my repo.git'"},
		{"git-upload-pack --strict --timeout=3 '/blog/x'", "blog.plil.net", "git-upload-pack --strict --timeout=3 ./'x'"},
		{"git-receive-pack '~/blog.plil.net/x'", "blog.plil.net", "git-receive-pack ./'x'"},
		{"git-upload-archive '/blog/it'\\''s'", "blog.plil.net", "git-upload-archive ./'it'\\''s'"},
	} {
		got, ok, err := parseCopying(c.line, underTest)
		if !ok || err != nil || got.site != c.site || got.line != c.want {
			t.Errorf("%s: %+v, %v, %v", c.line, got, ok, err)
		}
	}
}

func TestCopyingRefuses(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"scp -t .":                              `path "." names no site`,
		"scp -t ~":                              `path "~" names no site`,
		"scp -t /":                              `path "/" names no site`,
		"scp -f ../x":                           `path "../x" names no site`,
		"scp -t":                                `path "" names no site`,
		"git-upload-pack ''":                    `path "" names no site`,
		"rsync --server -r . .":                 `path "." names no site`,
		"rsync --server --daemon .":             `path "" names no site`,
		"scp -f blog/a other/b":                 `the paths are in two sites, "blog.plil.net" and "other.plil.net"`,
		"scp -r -f blog":                        `"blog" is a whole site: name a file or folder in it`,
		"scp -r -f blog/":                       `"blog/" is a whole site: name a file or folder in it`,
		"rsync --server --sender -r . blog":     `"blog" is a whole site: name a file or folder in it`,
		"rsync --server --link-dest /a/x . b/y": `the paths are in two sites, "a.plil.net" and "b.plil.net"`,
		"scp -t 'blog":                          "the line ends within a quote or an escape",
		`scp -t blog\`:                          "the line ends within a quote or an escape",
	} {
		_, ok, err := parseCopying(line, underTest)
		var e *cloud.Error
		if !ok || !errors.As(err, &e) || e.Message != want || e.Kind != cloud.Usage || e.Hint == "" {
			t.Errorf("%s: %v, %v", line, ok, err)
		}
	}
	for _, line := range []string{"", "whoami", "rsync", "rsync -a blog/ x", "scp", "scp blog/a b", "scp -- -t", "gitk", "site list -t"} {
		if _, ok, _ := parseCopying(line, underTest); ok {
			t.Errorf("%q copies", line)
		}
	}
}

func TestSecludedArguments(t *testing.T) {
	t.Parallel()
	read := func(line, stdin string) (string, copying, error) {
		c, ok, err := parseCopying(line, underTest)
		if !ok || err != nil || !c.late || c.line != line {
			t.Fatalf("%q: %+v, %v, %v", line, c, ok, err)
		}
		in, err := c.readLate(iotest.OneByteReader(strings.NewReader(stdin)), underTest)
		if err != nil {
			return "", c, err
		}
		all, err := io.ReadAll(in)
		return string(all), c, err
	}
	got, c, err := read("rsync --server -slogDtpre.iLsfxCIvu", "rsync\x00--link-dest\x00/blog/old\x00.\x00blog/a b'$x\\\x00/blog/c\x00\x00 \x00\x00\x00")
	if want := "rsync\x00--link-dest\x00/home/site/old\x00.\x00./a b'$x\\\x00./c\x00\x00 \x00\x00\x00"; got != want || c.site != "blog.plil.net" || err != nil {
		t.Errorf("%q, %q, %v", got, c.site, err)
	}
	for stdin, want := range map[string]string{
		"":                                     "no arguments",
		"rsync\x00.\x00blog/":                  "no arguments",
		"rsync\x00.\x00blog\x00\x00":           "is a whole site",
		"rsync\x00.\x00a/\x00b/\x00\x00":       "two sites",
		"rsync\x00.\x00\x00":                   "names no site",
		strings.Repeat("x", 3*maxCommand):      "no arguments",
		strings.Repeat("x\x00", maxCommand):    "no arguments",
		"rsync\x00.\x00" + "../x" + "\x00\x00": "names no site",
	} {
		if _, _, err := read("rsync --server --sender -sre.LsfxCIvu", stdin); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v", stdin, err)
		}
	}
}

// FuzzCut holds the cutter against another one.
func FuzzCut(f *testing.F) {
	for _, s := range []string{"", "a b", " a\tb\n", `'a b'c"d e"\ f`, `"\a\"\$\\"`, "a\\\nb", "'", `"`, `\`, "''", `"" x`, "\"a\\\nb\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := cut(line)
		want, wantErr := shellquote.Split(line)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v, but %v", line, err, wantErr)
		}
		if err != nil {
			return
		}
		var got []string
		for _, w := range words {
			got = append(got, w.value)
			for n := range min(len(w.value), 100) + 1 {
				rest, err := cut("./" + w.after(n))
				if err != nil || len(rest) != 1 || rest[0].value != "./"+w.value[n:] {
					t.Fatalf("%q after %d is %q: %v, %v", w.raw, n, w.after(n), rest, err)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q: %q, but %q", line, got, want)
		}
	})
}

// FuzzCopying gives lines to the parser. What it makes of them has the same words, with paths below the home.
func FuzzCopying(f *testing.F) {
	f.Add("scp -r -t -- blog/www/")
	f.Add(`rsync --server --sender -re.L . '/blog/a b' "~/blog/"\$x*`)
	f.Add("rsync --server --link-dest /a/ --temp-dir . . ./a")
	f.Add("git-upload-pack '/blog/it'\\''s'")
	f.Fuzz(func(t *testing.T, line string) {
		c, ok, err := parseCopying(line, underTest)
		if !ok || err != nil || c.late {
			return
		}
		before, err1 := cut(line)
		after, err2 := cut(c.line)
		if err1 != nil || err2 != nil || len(before) != len(after) || c.site == "" {
			t.Fatalf("%q became %q for %q", line, c.line, c.site)
		}
		for i := range before {
			was, is := before[i].value, after[i].value
			rest, entered := strings.CutPrefix(is, "./")
			if !entered {
				rest, entered = strings.CutPrefix(is, cloud.HomePath+"/")
			}
			if was != is && (!entered || !strings.HasSuffix(was, rest)) {
				t.Fatalf("%q became %q in %q", was, is, c.line)
			}
		}
	})
}

// TestCutAsAShellDoes asks a real one.
func TestCutAsAShellDoes(t *testing.T) {
	t.Parallel()
	for _, line := range []string{`a\ b 'c d'"e f" "\a\"\\" ''`, "a\\\nb \"c\\\nd\"", `'\' "'" \'\"`, `"" x\\y`} {
		out, err := exec.Command("/bin/sh", "-c", `printf '%s\0' `+line).Output()
		if err != nil {
			t.Fatal(err)
		}
		words, err := cut(line)
		var got strings.Builder
		for _, w := range words {
			got.WriteString(w.value + "\x00")
		}
		if err != nil || got.String() != string(out) {
			t.Errorf("%q: %q, but %q, %v", line, got.String(), out, err)
		}
	}
}
