package gateway_test

import (
	"context"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

// signed is a certificate for the person's key, made by an authority.
func (p *person) signed(authority ssh.Signer, change func(*ssh.Certificate)) ssh.Signer {
	p.Helper()
	now := time.Now()
	cert := &ssh.Certificate{
		Key: p.key.PublicKey(), CertType: ssh.UserCert, KeyId: "test", Serial: 7, ValidPrincipals: []string{"ada"},
		ValidAfter: uint64(now.Add(-time.Minute).Unix()), ValidBefore: uint64(now.Add(time.Hour).Unix()),
	}
	if change != nil {
		change(cert)
	}
	p.must(cert.SignCert(rand.Reader, authority))
	signer, err := ssh.NewCertSigner(cert, p.key)
	p.must(err)
	return signer
}

// TestCertificate has what ssh-keygen does not make: signatures that are none, and what comes after the login.
func TestCertificate(t *testing.T) {
	t.Parallel()
	ca := newSigner(t)
	w := newWorldWith(t, gateway.Limits{}, entries{authorities: gateway.Authorities{ca.PublicKey()}})
	w.person("ada")
	robot := w.stranger("robot")
	dial := func(key ssh.Signer) (*ssh.Client, error) {
		return ssh.Dial("tcp", w.address, w.clientConfig("any", key))
	}

	unsigned := robot.signed(ca, nil)
	cert := unsigned.PublicKey().(*ssh.Certificate)
	cert.Signature.Blob[3] ^= 1
	for name, key := range map[string]ssh.Signer{
		"forged": unsigned,
		"changed after it was signed": func() ssh.Signer {
			s := robot.signed(ca, nil)
			s.PublicKey().(*ssh.Certificate).ValidPrincipals = []string{"operator"}
			return s
		}(),
		"by its own key": robot.signed(robot.key, nil),
	} {
		if c, err := dial(key); err == nil {
			c.Close()
			t.Errorf("%s: let in", name)
		}
	}

	c, err := dial(robot.signed(ca, nil))
	w.must(err)
	defer c.Close()
	if ok, _, err := c.SendRequest("nothing", true, nil); ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	pty := w.session(c)
	if pty.ask("pty-req", ssh.Marshal(struct {
		Term       string
		C, R, W, H uint32
		Modes      string
	}{"xterm", 80, 24, 0, 0, ""})) {
		t.Error("a terminal without permit-pty")
	}
	pty.exec("whoami")
	if got := pty.wait(); got != 0 {
		t.Errorf("status %d", got)
	}

	// What is open ends with the account.
	s := w.session(c)
	w.must(w.cloud.DisableAccount(context.Background(), w.who(), "ada"))
	s.exec("whoami")
	if got := s.wait(); got != cloud.Denied.Exit() {
		t.Errorf("disabled: status %d", got)
	}
	w.must(w.cloud.EnableAccount(context.Background(), w.who(), "ada"))
}

// TestCertificateExpires: what runs goes on, as with OpenSSH's sshd, and nothing more begins.
func TestCertificateExpires(t *testing.T) {
	t.Parallel()
	ca := newSigner(t)
	w := newWorldWith(t, gateway.Limits{}, entries{authorities: gateway.Authorities{ca.PublicKey()}})
	site := w.person("ada").site("blog", cloud.PHP)
	ends := time.Now().Add(4 * time.Second)
	c, err := ssh.Dial("tcp", w.address, w.clientConfig(site, w.stranger("robot").signed(ca, func(c *ssh.Certificate) { c.ValidBefore = uint64(ends.Unix()) })))
	w.must(err)
	defer c.Close()
	program, files := w.session(c), w.files(c)
	program.exec("read line; echo went on; exit 3")
	w.eventually("the program runs", func() bool { return w.engine.running.Load() == 1 })
	w.eventually("it expires", func() bool { return time.Now().After(ends) })
	_, err = c.NewSession()
	if err == nil {
		t.Fatal("a session after the end")
	}
	has(t, err.Error(), "has expired: get a new one and log in again")
	if _, err := files.ReadDir("www"); err != nil {
		t.Errorf("the open files: %v", err)
	}
	_, err = program.Write([]byte("\n"))
	w.must(err)
	text, _ := io.ReadAll(program)
	if got := program.wait(); got != 3 || string(text) != "went on\n" {
		t.Errorf("the program ends with %d: %q", got, text)
	}
}

// TestCertificateRevoked: what runs ends and says why, and the connection with it; a connection that does nothing ends too.
func TestCertificateRevoked(t *testing.T) {
	t.Parallel()
	ca := newSigner(t)
	w := newWorldWith(t, gateway.Limits{}, entries{authorities: gateway.Authorities{ca.PublicKey()}})
	list := w.revoking()
	site := w.person("ada").site("blog", cloud.PHP)
	robot := w.stranger("robot")
	dial := func(serial uint64) *ssh.Client {
		c, err := ssh.Dial("tcp", w.address, w.clientConfig(site, robot.signed(ca, func(c *ssh.Certificate) { c.Serial = serial })))
		w.must(err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	busy, idle, other := dial(7), dial(7), dial(8)
	program := w.session(busy)
	program.exec("sleep 1000")
	w.eventually("the program runs", func() bool { return w.engine.running.Load() == 1 })
	w.must(os.WriteFile(list, []byte("serial: 7\n"), 0o600))
	text, _ := io.ReadAll(program.Stderr())
	has(t, string(text), `certificate "test" serial 7 was revoked`)
	for name, c := range map[string]*ssh.Client{"busy": busy, "idle": idle} {
		ended := make(chan struct{})
		go func() { _ = c.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Errorf("the %s one goes on", name)
		}
	}
	s := w.session(other)
	if s.exec("true"); s.wait() != 0 {
		t.Error("another certificate does not let in any more")
	}
}

// TestRevokedSlowlyRegression: a program that takes its time to end was cut off before it could be said why.
func TestRevokedSlowlyRegression(t *testing.T) {
	t.Parallel()
	ca := newSigner(t)
	w := newWorldWith(t, gateway.Limits{}, entries{authorities: gateway.Authorities{ca.PublicKey()}})
	list := w.revoking()
	w.engine.instead = func(ctx context.Context, _ cloud.Exec) (int, error) {
		<-ctx.Done()
		<-time.After(time.Second)
		return 0, ctx.Err()
	}
	site := w.person("ada").site("blog", cloud.PHP)
	c, err := ssh.Dial("tcp", w.address, w.clientConfig(site, w.stranger("robot").signed(ca, func(c *ssh.Certificate) { c.Serial = 7 })))
	w.must(err)
	defer c.Close()
	program := w.session(c)
	program.exec("anything")
	w.eventually("the program runs", func() bool { return w.engine.running.Load() == 1 })
	w.must(os.WriteFile(list, []byte("serial: 7\n"), 0o600))
	text, _ := io.ReadAll(program.Stderr())
	has(t, string(text), `certificate "test" serial 7 was revoked`)
	if got := program.wait(); got != cloud.Denied.Exit() {
		t.Errorf("status %d", got)
	}
	_ = c.Wait() // its end
}

// revoking has the world look at a list of certificates that are revoked, and returns its file.
func (w *world) revoking() (file string) {
	w.Helper()
	file = filepath.Join(w.dir, "revoked")
	w.must(os.WriteFile(file, nil, 0o600))
	revoked, err := gateway.OpenRevoked(file)
	w.must(err)
	w.cloud.CertRevoked = revoked.Has
	ctx, stop := context.WithCancel(context.Background())
	running := make(chan struct{})
	go func() { w.cloud.Run(ctx); close(running) }()
	w.Cleanup(func() { stop(); <-running })
	return file
}

// TestCertificateAtEachVerb: the authority and the time are looked at again.
func TestCertificateAtEachVerb(t *testing.T) {
	t.Parallel()
	ca := newSigner(t)
	w := newWorldWith(t, gateway.Limits{}, entries{authorities: gateway.Authorities{ca.PublicKey()}})
	w.person("ada")
	good := cloud.UserCert{Authority: ssh.FingerprintSHA256(ca.PublicKey()), ID: "x", Serial: 1, Expires: time.Now().Add(time.Hour)}
	for name, c := range map[string]struct {
		change func(*cloud.Who)
		want   cloud.Kind
	}{
		"good":              {func(*cloud.Who) {}, ""},
		"for ever":          {func(w *cloud.Who) { w.Certificate.Expires = time.Time{} }, ""},
		"expired":           {func(w *cloud.Who) { w.Certificate.Expires = time.Now().Add(-time.Second) }, cloud.Denied},
		"another authority": {func(w *cloud.Who) { w.Certificate.Authority = "SHA256:other" }, cloud.Denied},
		"no authority":      {func(w *cloud.Who) { w.Certificate.Authority = "" }, cloud.Denied},
		"no account":        {func(w *cloud.Who) { w.Account = "bob" }, cloud.NotFound},
		"the operator":      {func(w *cloud.Who) { w.Account = cloud.Operator }, cloud.NotFound},
	} {
		who := cloud.Who{Account: "ada", Key: "SHA256:any", Certificate: good}
		c.change(&who)
		if _, err := w.cloud.WhoAmI(context.Background(), who); cloud.KindOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadAuthorities(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ca, robot := newSigner(t), w.stranger("robot")
	line := string(ssh.MarshalAuthorizedKey(ca.PublicKey()))
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		w.must(os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	keys, err := gateway.ReadAuthorities([]string{file("a", "# ours\n\n"+line), file("b", line+line)})
	if err != nil || len(keys) != 3 || keys.Fingerprints()[2] != ssh.FingerprintSHA256(ca.PublicKey()) {
		t.Errorf("%v %v", keys, err)
	}
	for name, text := range map[string]string{
		"empty": "", "no key": "hello", "certificate": string(ssh.MarshalAuthorizedKey(robot.signed(ca, nil).PublicKey())),
		"options": "cert-authority " + line,
	} {
		if _, err := gateway.ReadAuthorities([]string{file("x", text)}); cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
