package gateway_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

// TestExMember: what somebody has open in a site, in both views, ends when the site is no longer shared with them; the
// connection, and what others have open, stays.
func TestExMember(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t, gateway.Limits{})
	ada, bob := w.person("ada"), w.person("bob")
	site := ada.site("blog", cloud.PHP)
	owner := cloud.Who{Account: "ada", Key: ssh.FingerprintSHA256(ada.key.PublicKey())}
	_, err := w.cloud.ShareSite(ctx, owner, site, "bob")
	w.must(err)

	inSite, inAccount := bob.dial(site), bob.dial("bob")
	shell := w.session(inSite)
	shell.exec("sleep 1000")
	files := []*sftp.Client{}
	for _, c := range []*ssh.Client{inSite, inAccount, ada.dial("ada")} {
		f, err := sftp.NewClient(c)
		w.must(err)
		files = append(files, f)
	}
	open, err := files[1].Create("/" + site + "/www/open.txt")
	w.must(err)
	_, err = files[0].ReadDir("www")
	w.must(err)
	_, err = files[2].ReadDir("/" + site)
	w.must(err)
	forward, err := direct(inSite, w.counting("tcp", "127.0.0.1:0").String())
	w.must(err)
	_, err = io.WriteString(forward, "kept open")
	w.must(err)
	w.eventually("the program runs", func() bool { return w.engine.running.Load() == 1 })

	_, err = w.cloud.UnshareSite(ctx, owner, site, "bob")
	w.must(err)
	text, _ := io.ReadAll(shell.Stderr())
	has(t, string(text), "no site")
	if status := shell.wait(); status != cloud.NotFound.Exit() {
		t.Errorf("the shell ends with %d", status)
	}
	if text, _ := io.ReadAll(forward); len(text) != 0 {
		t.Errorf("the forward ends with %q", text)
	}
	if _, err := direct(inSite, w.counting("tcp", "127.0.0.1:0").String()); err == nil {
		t.Error("an ex-member's next forward")
	}
	w.eventually("an open file takes no more", func() bool {
		_, err := open.Write([]byte("late"))
		return errors.Is(err, fs.ErrNotExist)
	})
	w.eventually("no files in the site view", func() bool {
		_, err := files[0].ReadDir("www")
		return errors.Is(err, fs.ErrNotExist)
	})
	if _, err := files[1].ReadDir("/" + site); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an ex-member's files: %v", err)
	}
	if _, err := files[1].ReadDir("/"); err != nil {
		t.Errorf("the session is dead: %v", err)
	}
	if _, err := files[2].ReadDir("/" + site); err != nil {
		t.Errorf("the owner's files: %v", err)
	}
	s := w.session(inAccount)
	if s.exec("whoami"); s.wait() != 0 {
		t.Error("the connection is dead")
	}
	s = w.session(inSite)
	if s.exec("true"); s.wait() != cloud.NotFound.Exit() {
		t.Error("an ex-member's next program")
	}
}
