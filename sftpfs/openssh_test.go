package sftpfs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"plil.net/nuage/provision/provisiontest"
)

// program looks for a program of OpenSSH.
func program(t *testing.T, name string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err != nil {
		provisiontest.Skip(t, "ssh", name+" is not installed")
	}
	return p
}

// run runs an OpenSSH client with this test's binary as its server.
func run(t *testing.T, dir, view, stdin string, argv ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(program(t, argv[0]), argv[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), serveEnv+"="+dir, serveEnv+"_VIEW="+view)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// batch runs commands of sftp and fails if one of them does.
func batch(t *testing.T, dir, view, commands string) string {
	t.Helper()
	out, err := run(t, dir, view, commands, "sftp", "-q", "-b", "-", "-D", os.Args[0])
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return out
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	do(t, err)
	return string(b)
}

func write(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	do(t, os.MkdirAll(filepath.Dir(name), 0o755))
	do(t, os.WriteFile(name, []byte(content), mode))
	do(t, os.Chmod(name, mode))
}

func TestOpenSSH(t *testing.T) {
	t.Parallel()
	d, dir := newDisk(t)
	local := t.TempDir()
	write(t, local+"/script.sh", "#!/bin/sh\n", 0o700)
	big := strings.Repeat("big data ", 100_000)
	write(t, local+"/big", big, 0o644)
	write(t, local+"/tree/a/b", "deep", 0o640)
	when := time.Unix(1_200_000_000, 0)
	do(t, os.Chtimes(local+"/tree/a/b", when, when))

	out := batch(t, dir, "site", fmt.Sprintf(`
		pwd
		lcd %s
		cd www
		put script.sh
		put big
		put big part
		get big got
		put -pr tree
		get -pr tree back
		rename part whole
		ln whole hard
		ln -s /home/site/www/whole soft
		chmod 600 whole
		mkdir dir
		rmdir dir
		rm script.sh
		put script.sh run me
		put script.sh
		ls -la
		df
		-rename none some
		-mkdir /home/evil
	`, local))
	host := d.Path(blog) + "/www"
	for _, want := range []string{"/home/site\n", "-rwx------", "alice    alice", "lrwxrwxrwx", "soft", " .\n", " ..\n", "Avail"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if read(t, local+"/got") != big || read(t, host+"/whole") != big || read(t, local+"/back/a/b") != "deep" {
		t.Error("contents differ")
	}
	fi, err := os.Stat(host + "/tree/a/b")
	do(t, err)
	if fi.Mode() != 0o640 || !fi.ModTime().Equal(when) {
		t.Errorf("put -p left %v %v", fi.Mode(), fi.ModTime())
	}
	if st := fi.Sys().(*syscall.Stat_t); os.Geteuid() == 0 && st.Uid != uint32(blog.UID) {
		t.Errorf("the file belongs to %d", st.Uid)
	}
	if fi, err := os.Stat(host + "/script.sh"); err != nil || fi.Mode() != 0o700 {
		t.Errorf("a script is %v, %v", fi, err)
	}
	if l, err := os.Readlink(host + "/soft"); l != "/home/site/www/whole" || err != nil {
		t.Errorf("got %q, %v", l, err)
	}
}

// TestOpenSSHResumes goes on with transfers that were cut.
func TestOpenSSHResumes(t *testing.T) {
	t.Parallel()
	d, dir := newDisk(t)
	local := t.TempDir()
	whole := strings.Repeat("0123456789", 50_000)
	write(t, local+"/up", whole, 0o644)
	write(t, local+"/down", whole[:12345], 0o644)
	host := d.Path(blog) + "/www"
	for name, content := range map[string]string{"up": whole[:33_333], "down": whole} {
		write(t, host+"/"+name, content, 0o644)
		if os.Geteuid() == 0 {
			do(t, os.Chown(host+"/"+name, blog.UID, blog.UID))
		}
	}
	batch(t, dir, "site", fmt.Sprintf("lcd %s\ncd www\nreput up\nreget down\n", local))
	if read(t, host+"/up") != whole || read(t, local+"/down") != whole {
		t.Error("contents differ")
	}
}

func TestOpenSSHRefused(t *testing.T) {
	t.Parallel()
	_, dir := newDisk(t)
	for command, words := range map[string]string{
		"get /etc/passwd":      "not found",
		"mkdir /home/evil":     "Permission denied",
		"rm /home/site/www":    "Failure",
		"rename www /x":        "Permission denied",
		"chmod 777 /home":      "Permission denied",
		"chown 0 /home/site":   "Permission denied",
		"ln -s / /home/evil":   "Permission denied",
		"cd /home/site/../../": "",
	} {
		out, err := run(t, dir, "site", command+"\n", "sftp", "-q", "-b", "-", "-D", os.Args[0])
		if (err == nil) != (words == "") || !strings.Contains(out, words) {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
}

// TestScp copies trees with scp, in the account view.
func TestScp(t *testing.T) {
	t.Parallel()
	d, dir := newDisk(t)
	local := t.TempDir()
	write(t, local+"/build/index.html", "<h1>", 0o644)
	write(t, local+"/build/cgi/run", "#!", 0o755)
	write(t, local+"/build/own/secret", "s", 0o600)
	do(t, os.Chmod(local+"/build/own", 0o700))
	scp := func(args ...string) {
		t.Helper()
		if out, err := run(t, dir, "account", "", append([]string{"scp", "-q", "-D", os.Args[0]}, args...)...); err != nil {
			t.Errorf("scp %q: %v\n%s", args, err, out)
		}
	}
	scp("-r", local+"/build/index.html", local+"/build/cgi", local+"/build/own", "nuage:blog.plil.net/www/")
	host := d.Path(blog) + "/www"
	if read(t, host+"/index.html") != "<h1>" || read(t, host+"/cgi/run") != "#!" {
		t.Error("contents differ")
	}
	for name, mode := range map[string]os.FileMode{"/cgi/run": 0o755, "/own/secret": 0o600, "/own": 0o700 | os.ModeDir} {
		if fi, err := os.Stat(host + name); err != nil || fi.Mode() != mode {
			t.Errorf("%s is %v, %v, want %v", name, fi.Mode(), err, mode)
		}
	}
	scp("-rp", "nuage:/blog/www", local+"/back")
	if read(t, local+"/back/own/secret") != "s" {
		t.Error("contents differ")
	}
	out := batch(t, dir, "account", "ls\nls -l blog/www\ncd wiki\npwd\n")
	for _, want := range []string{"blog.plil.net", "wiki.plil.net", "index.html", "/wiki.plil.net\n"} {
		if !bytes.Contains([]byte(out), []byte(want)) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}
