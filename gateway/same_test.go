package gateway_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

// asked is one request for authentication without a signature: what anybody can ask of anybody's name and key.
type asked struct {
	what string
	call func(*wire) ([]byte, error)
}

func offers(user string, key ssh.PublicKey) asked {
	return asked{"a key as " + user, func(c *wire) ([]byte, error) {
		return c.call(msgAuthRequest, authentication{user, "ssh-connection", "publickey", false, key.Type(), key.Marshal(), nil})
	}}
}

func tries(user, method string) asked {
	return asked{method + " as " + user, func(c *wire) ([]byte, error) {
		return c.call(msgAuthRequest, struct {
			User, Service, Method string
			Rest                  []byte `ssh:"rest"`
		}{user, "ssh-connection", method, make([]byte, 16)})
	}}
}

const (
	tellApart = 2 * time.Millisecond // the median of what one takes longer than the other
	tooSlow   = 5 * time.Millisecond // a lookup that has to be noticed
)

// gap is how much longer b takes than a, in pairs that follow each other on the same connection, as the median: what else
// the machine does comes upon both. A gap is measured again, and the smallest counts: one that is there stays.
func (w *world) gap(a, b asked) time.Duration {
	w.Helper()
	least := w.gapOnce(a, b)
	for i := 0; i < 3 && least.Abs() >= tellApart; i++ {
		if again := w.gapOnce(a, b); again.Abs() < least.Abs() {
			least = again
		}
	}
	return least
}

func (w *world) gapOnce(a, b asked) time.Duration {
	w.Helper()
	var gaps []time.Duration
	for i := range 12 {
		c := w.wire()
		took := func(a asked) time.Duration {
			start := time.Now()
			_, err := a.call(c)
			w.must(err)
			return time.Since(start)
		}
		took(tries("warm", "none")) // the first has more to do
		for range 8 {               // of 20 tries
			// Which comes first changes from one connection to the next. Nobody asks the same twice in a row: the SSH library
			// would know the answer.
			if i%2 == 0 {
				first := took(a)
				gaps = append(gaps, took(b)-first)
			} else {
				first := took(b)
				gaps = append(gaps, first-took(a))
			}
		}
		c.Close()
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2]
}

// TestNamesSame: whatever name somebody gives, and whosever key it comes with, without a signature it cannot be told from
// other names: not by the answer with the methods that can go on, not by the words, not by the time.
func TestNamesSame(t *testing.T) {
	t.Parallel()
	for name, school := range map[string]cloud.School{"keys": nil, "school": newDesk()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorldWith(t, gateway.Limits{}, entries{school: school})
			ada, bob, dora := w.person("ada"), w.person("bob"), w.person("dora")
			site := ada.site("blog", cloud.Static)
			w.must(w.cloud.DisableAccount(context.Background(), w.who(), "dora"))
			stranger := newSigner(t).PublicKey()
			users := []string{"ada", "dora", "nobody", site, "none.plil.test", "root", cloud.Operator}

			groups := map[string][]asked{}
			for _, user := range users {
				groups["unknown key"] = append(groups["unknown key"], offers(user, stranger))
				groups["key of ada"] = append(groups["key of ada"], offers(user, ada.key.PublicKey()))
				groups["password"] = append(groups["password"], tries(user, "password"))
				groups["none"] = append(groups["none"], tries(user, "none"))
			}
			groups["whose key"] = []asked{offers("ada", ada.key.PublicKey()), offers("bob", bob.key.PublicKey()), offers("dora", dora.key.PublicKey())}
			if school != nil { // where it leads on, it cannot be told from those that are known
				groups["whose key"] = append(groups["whose key"], offers("nobody", stranger))
			}
			for group, same := range groups {
				t.Run(group, func(t *testing.T) {
					w := &world{T: t, address: w.address}
					first := answered(w, same[0])
					for _, other := range same[1:] {
						if got := answered(w, other); got != first {
							t.Errorf("%s: %s\n%s: %s", same[0].what, first, other.what, got)
						}
						if gap := w.gap(same[0], other); gap.Abs() >= tellApart {
							t.Errorf("%s takes %s longer than %s", other.what, gap, same[0].what)
						}
					}
				})
			}
		})
	}
}

// answered is what a new connection answers: the message but for a key that it repeats, and the words for people.
func answered(w *world, a asked) string {
	w.Helper()
	c := w.wire()
	defer c.Close()
	p, err := a.call(c)
	w.must(err)
	if p[0] == msgKeyOK {
		p = p[:1]
	}
	return fmt.Sprintf("%q and %q", p, c.banners)
}

// TestGapIsSeen: the test above notices a lookup that is a little slower for one account.
func TestGapIsSeen(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, gateway.Limits{}, entries{slow: "dora"})
	ada, dora := w.person("ada"), w.person("dora")
	if gap := w.gap(offers("ada", ada.key.PublicKey()), offers("dora", dora.key.PublicKey())); gap < tellApart {
		t.Errorf("a lookup of %s is seen as %s", tooSlow, gap)
	}
}

// slowStore takes its time to look one account up.
type slowStore struct {
	cloud.Store
	account string
}

type slowTx struct {
	cloud.Tx
	account string
}

func (s slowStore) View(ctx context.Context, fn func(cloud.Tx) error) error {
	if s.account == "" {
		return s.Store.View(ctx, fn)
	}
	return s.Store.View(ctx, func(tx cloud.Tx) error { return fn(slowTx{tx, s.account}) })
}

func (t slowTx) Account(name string) (cloud.Account, error) {
	if name == t.account {
		time.Sleep(tooSlow)
	}
	return t.Tx.Account(name)
}
