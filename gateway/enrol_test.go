package gateway_test

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

// desk is a school where everybody is let in once they are nodded to: it keeps all that began.
type desk struct {
	mu      sync.Mutex
	waiting int
	began   int
	nod     chan cloud.Person
	away    bool
	whole   string // the link with the code in it
	life    time.Duration
}

func newDesk() *desk {
	return &desk{nod: make(chan cloud.Person), life: 5 * time.Minute, whole: "https://sso.test/device?user_code=ABCD"}
}

func (d *desk) Begin(context.Context) (cloud.Invitation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.away {
		return cloud.Invitation{}, cloud.Errorf(cloud.Unavailable, "the school login does not work right now")
	}
	d.began++
	return cloud.Invitation{
		Link: "https://sso.test/device", Complete: d.whole, Code: fmt.Sprintf("CODE-%d", d.began),
		Expires: time.Now().Add(d.life), Wait: d.wait,
	}, nil
}

func (d *desk) wait(ctx context.Context) (cloud.Person, error) {
	d.count(+1)
	defer d.count(-1)
	select {
	case p := <-d.nod:
		return p, nil
	case <-ctx.Done():
		return cloud.Person{}, ctx.Err()
	}
}

func (d *desk) count(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting += n
	return d.waiting
}

// visitor logs in with keyboard-interactive; prompt gets each prompt and answers.
func (w *world) visitor(user string, prompt func(text, question string) string, keys ...ssh.Signer) (*ssh.Client, string, error) {
	config := w.clientConfig(user, keys...)
	said := &syncBuffer{}
	config.BannerCallback = func(text string) error { _, err := said.Write([]byte(text)); return err }
	config.Auth = append(config.Auth, ssh.KeyboardInteractive(func(_, text string, questions []string, echos []bool) ([]string, error) {
		var answers []string
		for i, q := range questions {
			if !echos[i] {
				return nil, fmt.Errorf("a question for a secret")
			}
			answers = append(answers, prompt(text, q))
		}
		return answers, nil
	}))
	c, err := ssh.Dial("tcp", w.address, config)
	if err == nil {
		w.Cleanup(func() { c.Close() })
	}
	return c, said.String(), err
}

func enter(string, string) string { return "" }

func jean(name string) cloud.Person {
	return cloud.Person{Issuer: "https://sso.test", Subject: "sub-" + name, Name: name}
}

func (w *world) whoamiOf(c *ssh.Client) string {
	w.Helper()
	s, err := c.NewSession()
	w.must(err)
	defer s.Close()
	out, err := s.Output("whoami --json")
	w.must(err)
	return string(out)
}

func TestVisitor(t *testing.T) {
	t.Parallel()
	d := newDesk()
	w := newWorldWith(t, gateway.Limits{}, entries{school: d})
	key := newSigner(t)
	var shown []string
	c, said, err := w.visitor("whoever", func(text, question string) string {
		shown = append(shown, text+question)
		if len(shown) < 3 {
			return " Q "
		}
		go func() { d.nod <- jean("jean") }()
		return ""
	}, key)
	w.must(err)
	has(t, w.whoamiOf(c), `"jean"`)
	has(t, shown[0], "https://sso.test/device", "CODE-1", ssh.FingerprintSHA256(key.PublicKey()), "from: 127.0.0.1")
	has(t, shown[2], "https://sso.test/device", "CODE-1")
	has(t, said, "nobody here has your key "+ssh.FingerprintSHA256(key.PublicKey()), "enrol@nuage.test", "welcome, jean")
	if strings.Count(said, "█") < 100 {
		t.Errorf("no QR code: %s", said)
	}
	// The next time the key is enough, also before others that nobody knows... and behind them.
	for _, keys := range [][]ssh.Signer{{key}, {newSigner(t), newSigner(t), key}, {key, newSigner(t)}} {
		c, _, err := w.visitor("x", func(string, string) string { t.Error("asked"); return "" }, keys...)
		w.must(err)
		has(t, w.whoamiOf(c), `"jean"`)
	}
	if d.began != 1 {
		t.Errorf("the school was asked %d times", d.began)
	}
}

// TestVisitorOfABareLink: where no link has the code in it, as with Entra ID, the QR code leads to the page where it is typed.
func TestVisitorOfABareLink(t *testing.T) {
	t.Parallel()
	shown := map[string]string{}
	for _, whole := range []string{"", "https://sso.test/device", "https://sso.test/device?user_code=ABCD"} {
		d := newDesk()
		d.whole = whole
		w := newWorldWith(t, gateway.Limits{}, entries{school: d})
		asked := 0
		_, said, err := w.visitor("whoever", func(_, question string) string {
			has(t, question, "https://sso.test/device", "CODE-1")
			if asked++; asked == 1 {
				return "q"
			}
			go func() { d.nod <- jean("jean") }()
			return ""
		}, newSigner(t))
		w.must(err)
		for line := range strings.Lines(said) {
			if strings.ContainsAny(line, "█▀▄") {
				shown[whole] += line
			}
		}
	}
	if bare := shown[""]; bare == "" || bare != shown["https://sso.test/device"] || bare == shown["https://sso.test/device?user_code=ABCD"] {
		t.Errorf("the QR codes: %q", shown)
	}
}

// TestVisitorSigns: a key that was only offered leads nowhere, and what is bound is the key that signed.
func TestVisitorSigns(t *testing.T) {
	t.Parallel()
	d := newDesk()
	w := newWorldWith(t, gateway.Limits{}, entries{school: d})
	ada := w.person("ada")
	victim, mallory := newSigner(t), newSigner(t)

	c := w.wire()
	w.answers(msgKeyOK)(c.offer("a", victim.PublicKey()))
	if kind, err := c.interactive("a"); err != nil || kind != msgAuthFailure {
		t.Errorf("without a signature: %d %v", kind, err)
	}
	c = w.wire()
	w.answers(msgKeyOK)(c.offer("a", victim.PublicKey()))
	w.answers(msgAuthFailure)(c.sign("a", mallory.PublicKey(), mallory)) // a part of a success
	w.answers(msgAuthFailure)(c.offer("a", victim.PublicKey()))          // nobody else's turn
	if kind, err := c.interactive("a"); err != nil || kind != msgInfoRequest {
		t.Fatalf("after a signature: %d %v", kind, err)
	}
	go func() { d.nod <- jean("jean") }()
	w.answers(msgAuthSuccess)(c.answer(""))
	c.whoami(t, "jean")
	for key, want := range map[string]cloud.Kind{
		ssh.FingerprintSHA256(mallory.PublicKey()): "", ssh.FingerprintSHA256(victim.PublicKey()): cloud.NotFound,
	} {
		if _, err := w.cloud.Authenticate(t.Context(), key); cloud.KindOf(err) != want {
			t.Errorf("%s: %v", key, err)
		}
	}

	// Who changes the user on the way is cut off.
	c = w.wire()
	other := newSigner(t)
	w.answers(msgAuthFailure)(c.sign("a", other.PublicKey(), other))
	if kind, err := c.interactive("enrol"); err == nil {
		t.Errorf("another user: %d", kind)
	}
	// "none" is for "enrol" alone, and lets nobody in by itself.
	for _, user := range []string{"ada", "root", "", "ENROL", cloud.Enroller} {
		c = w.wire()
		if kind, err := c.none(user); err != nil || kind != msgAuthFailure {
			t.Errorf("none as %q: %d %v", user, kind, err)
		}
	}
	// Keys that are known need no school, also as "enrol" without asking for none first.
	c = w.wire()
	w.answers(msgAuthSuccess)(c.sign("enrol", ada.key.PublicKey(), ada.key))
}

// TestVisitorGoes: who hangs up stops waiting, and makes room.
func TestVisitorGoes(t *testing.T) {
	t.Parallel()
	d := newDesk()
	w := newWorldWith(t, gateway.Limits{Visitors: 2, AddressVisitors: 1}, entries{school: d})
	visit := func() *wire {
		t.Helper()
		c, key := w.wire(), newSigner(t)
		w.answers(msgAuthFailure)(c.sign("a", key.PublicKey(), key))
		if kind, err := c.interactive("a"); err != nil || kind != msgInfoRequest {
			t.Fatalf("%d %v: %s", kind, err, c.banners)
		}
		return c
	}
	first := visit()
	c, key := w.wire(), newSigner(t)
	w.answers(msgAuthFailure)(c.sign("a", key.PublicKey(), key))
	if kind, err := c.interactive("a"); err != nil || kind != msgAuthFailure {
		t.Errorf("one too many: %d %v", kind, err)
	}
	has(t, c.banners, "1 people are logging in at the school from your address, which is the limit")
	// At the prompt, and after the answer.
	first.Close()
	w.eventually("hung up at the prompt", func() bool { return d.count(0) == 0 })
	second := visit()
	w.must(second.sendAnswer(""))
	second.Close()
	w.eventually("hung up while waiting", func() bool { return d.count(0) == 0 })
	visit()
}

// TestVisitorTime: the time for a login is longer while a code lives, and no longer.
func TestVisitorTime(t *testing.T) {
	t.Parallel()
	const login = 5 * time.Second
	d := newDesk()
	w := newWorldWith(t, gateway.Limits{Login: login}, entries{school: d})
	start := time.Now() // before the connection, so that the prompt outlives the time for it
	c, _, err := w.visitor("a", func(string, string) string {
		for time.Since(start) < login+time.Second {
			time.Sleep(10 * time.Millisecond)
		}
		go func() { d.nod <- jean("jean") }()
		return ""
	}, newSigner(t))
	w.must(err)
	has(t, w.whoamiOf(c), `"jean"`)

	// Who only signs does not get the time.
	slow, key := w.wire(), newSigner(t)
	w.answers(msgAuthFailure)(slow.sign("a", key.PublicKey(), key))
	w.eventually("closed", slow.gone)
}

func TestVisitorRefused(t *testing.T) {
	t.Parallel()
	d := newDesk()
	w := newWorldWith(t, gateway.Limits{}, entries{school: d})
	ada := w.person("ada")

	// The name of an account that is there gives nothing away, and nothing.
	_, said, err := w.visitor("ada", func(string, string) string {
		go func() { d.nod <- jean("ada") }()
		return ""
	}, newSigner(t))
	if err == nil {
		t.Error("let in as ada")
	}
	has(t, said, `there is an account "ada" that an admin made, and nobody said that it is yours`)

	// A key of somebody else, by the user "enrol".
	_, said, err = w.visitor("enrol", func(string, string) string {
		go func() { d.nod <- jean("bob") }()
		return ""
	}, ada.key)
	if err == nil {
		t.Error("ada's key is bob's")
	}
	has(t, said, "this key belongs to another account")
	if _, err := w.cloud.Account(t.Context(), w.who(), "bob"); cloud.KindOf(err) != cloud.NotFound {
		t.Errorf("an account is left: %v", err)
	}

	d.mu.Lock()
	d.away = true
	d.mu.Unlock()
	_, said, err = w.visitor("x", enter, newSigner(t))
	if err == nil {
		t.Error("let in without a school")
	}
	has(t, said, "the school login does not work right now")
	has(t, w.whoamiOf(ada.dial("ada")), `"ada"`)

	_, said, err = w.visitor("x", enter)
	if err == nil {
		t.Error("let in without a key")
	}
	has(t, said, "your program offered no key", "ssh-keygen -t ed25519")
}

// TestVisitorNames: whom a stranger calls himself changes nothing of what he sees.
func TestVisitorNames(t *testing.T) {
	t.Parallel()
	d := newDesk()
	d.away = true
	w := newWorldWith(t, gateway.Limits{}, entries{school: d})
	ada := w.person("ada")
	ada.site("blog", cloud.Static)
	stranger, said := newSigner(t), map[string]bool{}
	for _, user := range []string{"ada", "nobody", "operator", "blog.plil.test", "none.plil.test"} {
		_, text, err := w.visitor(user, enter, stranger)
		said[fmt.Sprint(text, err)] = true
	}
	if len(said) != 1 {
		t.Errorf("names can be told apart: %v", said)
	}
}

// TestBatch has the real ssh without prompts: a sentence says what to do, and the school is left alone.
func TestBatch(t *testing.T) {
	t.Parallel()
	d := newDesk()
	w := newWorldWith(t, gateway.Limits{}, entries{school: d})
	if _, err := exec.LookPath("ssh"); err != nil && !promised("ssh") {
		t.Skip("needs ssh")
	}
	o := w.stranger("x").ssh("x", "", "whoami")
	has(t, o.stderr, "nobody here has your key", "ssh -t -p 2222 enrol@nuage.test", "Permission denied")
	if d.began != 0 {
		t.Error("the school was asked")
	}
}
