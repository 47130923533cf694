package gateway_test

import (
	"context"
	"io"
	"maps"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

// shutWithin is what docs/security.md promises. A machine that is busy with other tests cannot: they fail at shutLate.
const (
	shutWithin = time.Second
	shutLate   = 15 * time.Second
)

// TestShutOut: all that a person has open is closed once the account is disabled or deleted, or its key removed; the time
// runs from the answer to who did it.
func TestShutOut(t *testing.T) {
	t.Parallel()
	for name, shut := range map[string]func(w *world, p *person) error{
		"disabled": func(w *world, p *person) error { return w.cloud.DisableAccount(context.Background(), w.who(), p.name) },
		"key removed": func(w *world, p *person) error {
			_, err := w.cloud.RemoveKey(context.Background(), w.who(), p.name, ssh.FingerprintSHA256(p.key.PublicKey()))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, gateway.Limits{})
			w.engine.follow, w.cloud.Revoked = true, w.gateway.HangUp
			ada := w.person("ada")
			site := ada.site("blog", cloud.PHP)
			w.must(w.cloud.SetAccount(context.Background(), w.who(), "ada", []string{"role=admin"}))

			open := map[string]io.Reader{}
			begin := func(what, user, line string) {
				s := w.session(ada.dial(user))
				if line == "" {
					s.ask("shell", nil)
				} else {
					s.exec(line)
				}
				open[what] = s
			}
			begin("a shell", site, "")
			begin("a program", site, "sleep 1000")
			begin("a log that is followed", "ada", "site logs blog -f")
			begin("an audit that is followed", "ada", "audit -f")
			forward, err := direct(ada.dial(site), w.counting("tcp", "127.0.0.1:0").String())
			w.must(err)
			open["a forward"] = forward
			c := ada.dial("ada")
			files := w.session(c)
			files.ask("subsystem", ssh.Marshal(struct{ Name string }{"sftp"}))
			open["SFTP"] = files
			silent := ada.dial("ada")
			w.eventually("all run", func() bool {
				return w.engine.running.Load() == 2 && w.engine.following.Load() == 1 && w.gateway.Forwards("ada") == 1
			})

			w.must(shut(w, ada))
			from := time.Now()
			ended := make(chan string)
			for what, r := range open {
				go func() { _, _ = io.Copy(io.Discard, r); ended <- what }()
			}
			go func() { _ = silent.Wait(); ended <- "a connection that does nothing" }()
			waiting, late := len(open)+1, time.After(shutLate)
			for range waiting {
				select {
				case what := <-ended:
					delete(open, what)
					if took := time.Since(from); took > shutWithin {
						t.Logf("%s ended after %s", what, took)
					}
				case <-late:
					t.Fatalf("%s goes on", slices.Collect(maps.Keys(open)))
				}
			}
			t.Logf("all ended within %s", time.Since(from))
			w.eventually("nothing is left of it", func() bool {
				return w.engine.running.Load() == 0 && w.engine.following.Load() == 0 && w.gateway.Forwards("ada") == 0 && w.gateway.Connections("ada") == 0
			})
		})
	}
}
