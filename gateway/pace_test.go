package gateway_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

// TestPacedAccount: an account that logs in too often is slowed down and told so, with OpenSSH's own client; others, its
// address and the operator are not, and strangers who show its key cannot use up its logins.
func TestPacedAccount(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	at := time.Now()
	pass := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		at = at.Add(d)
	}
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return at
	}
	const limit = 7 // so the next waits 8.6 s, and the one after that would wait longer than any
	w := newWorldWith(t, gateway.Limits{AccountLogins: limit, Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, entries{now: now})
	ada, bob := w.person("ada"), w.person("bob")
	thief := w.stranger("thief")
	for range 2 * limit { // they show a key that is not theirs, and cannot sign with it
		c := w.wire()
		w.answers(msgKeyOK)(c.offer("ada", ada.key.PublicKey()))
		if p, _ := c.sign("ada", ada.key.PublicKey(), thief.key); p == msgAuthSuccess {
			t.Fatal("let in")
		}
	}
	for range limit {
		ada.dial("ada")
	}

	two, from := make(chan output), time.Now()
	for range 2 {
		go func() { two <- ada.ssh("ada", "", "whoami") }()
	}
	refusal := <-two // the one that waits comes later
	has(t, refusal.stderr, `"ada" has logged in more than 7 times within a minute, and others wait already`, "hint: do more on one connection: ControlMaster")
	if o := bob.ssh("bob", "", "whoami"); o.status != 0 {
		t.Errorf("another account: %+v", o)
	}
	operator := &person{w, cloud.Operator, w.operator, ""}
	for range limit + 3 {
		operator.dial("any")
	}
	o := <-two
	if took := time.Since(from); o.status != 0 || took < 8*time.Second {
		t.Errorf("after %s: %+v", took, o)
	}
	has(t, o.stderr, `"ada" has logged in more than 7 times within a minute: this login waits 9s`)

	var refused []cloud.Event
	w.eventually("the audit has it", func() bool {
		refused = nil
		w.must(w.cloud.Audit(context.Background(), w.who(), cloud.EventFilter{Account: "ada"}, false, func(e cloud.Event) error {
			if e.Action == cloud.Login && e.Result == string(cloud.Quota) {
				refused = append(refused, e)
			}
			return nil
		}))
		return len(refused) > 0
	})
	has(t, refused[0].Detail, "more than 7 times")
	pass(time.Minute)
	if o := ada.ssh("ada", "", "whoami"); o.status != 0 || o.stderr != "" {
		t.Errorf("a minute later: %+v", o)
	}
}
