package gateway_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

// scp runs scp; "H:" in an argument is the host, "S:" the site view.
func (p *person) scp(site string, args ...string) output {
	p.Helper()
	for i, a := range args {
		if rest, ok := strings.CutPrefix(a, "H:"); ok {
			args[i] = "127.0.0.1:" + rest
		}
		if rest, ok := strings.CutPrefix(a, "S:"); ok {
			args[i] = site + "@127.0.0.1:" + rest
		}
	}
	return p.run(p.program("scp", args...))
}

func TestCopies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada, bob := w.person("ada"), w.person("bob")
	site := ada.site("blog", cloud.PHP)
	ada.site("pages", cloud.Static)
	local := t.TempDir()
	text := strings.Repeat("0123456789abcdef", 100_000)
	w.must(os.MkdirAll(filepath.Join(local, "build", "deep"), 0o755))
	w.must(os.WriteFile(filepath.Join(local, "build", "deep", "a b.txt"), []byte(text), 0o644))
	for _, args := range [][]string{
		{"-r", local + "/build", "H:blog.plil.test/www/"},
		{"-r", local + "/build", "H:pages.plil.test/www/"},
		{"-r", local + "/build/deep", "S:www/"},
		{"H:blog.plil.test/www/build/deep/a b.txt", local + "/back"},
		{"S:www/deep/a b.txt", local + "/back2"},
		{"S:/home/site/www/deep/a b.txt", local + "/back3"},
	} {
		if o := ada.scp(site, args...); o.status != 0 || o.stderr != "" {
			t.Errorf("%q: %+v", args, o)
		}
	}
	for _, name := range []string{"back", "back2", "back3"} {
		if got, err := os.ReadFile(filepath.Join(local, name)); err != nil || string(got) != text {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if o := bob.scp(site, local+"/back", "H:blog.plil.test/www/"); o.status == 0 {
		t.Error("bob writes to ada's site")
	}
	o := bob.scp(site, local+"/back", "S:www/")
	if o.status == 0 {
		t.Error("bob writes in ada's site view")
	}
	has(t, o.stderr, `nuage: no site "blog.plil.test"`)
}

func TestListings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada, bob := w.person("ada"), w.person("bob")
	ada.site("blog", cloud.PHP)
	bob.site("secret", cloud.Static)
	cmd := ada.program("sftp", "-b", "-", "127.0.0.1")
	cmd.Stdin = strings.NewReader("pwd\nls /\n-ls /secret.plil.test\ncd /blog.plil.test\nls -l\nmkdir x\nrmdir x\n-mkdir /new\n")
	o := w.run(cmd)
	if o.status != 0 {
		t.Errorf("%+v", o)
	}
	has(t, o.stdout, "Remote working directory: /\n", "blog.plil.test", "www")
	if strings.Contains(o.stdout, "secret") && strings.Contains(strings.ReplaceAll(o.stdout, "-ls /secret", ""), "secret.plil.test\n") {
		t.Errorf("bob's site is listed: %s", o.stdout)
	}
}

// TestSFTPStatus ends SFTP in order, and by nonsense.
func TestSFTPStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	client := ada.dial(ada.site("blog", cloud.Static))
	for input, want := range map[string]int{
		"":                                     0,
		"\x00\x00\x00\x05\x01\x00\x00\x00\x03": 0,
		"\xff\xff\xff\xff\xff\xff\xff\xff":     cloud.Invalid.Exit(),
	} {
		s := w.session(client)
		if !s.ask("subsystem", payloads()["subsystem"]) {
			t.Fatal("no sftp")
		}
		_, err := io.WriteString(s, input)
		w.must(err)
		if err := s.CloseWrite(); err != io.EOF { // it may have ended already
			w.must(err)
		}
		_, err = io.ReadAll(s)
		w.must(err)
		if got := s.wait(); got != want {
			t.Errorf("%q: status %d, want %d", input, got, want)
		}
	}
}
