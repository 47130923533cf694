package cloud_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"plil.net/nuage/cloud"
	"plil.net/nuage/provision/fake"
)

// TestProgramOfASiteThatGoesRegression: a site that is deleted between its look-up and its wake is told by its name, with a hint.
func TestProgramOfASiteThatGoesRegression(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	alice := w.person(c, "alice")
	for name, during := range map[string]func(cloud.Site, func()){
		"before the hold": func(s cloud.Site, remove func()) { remove() },
		// The table of before is still there, as it is for a moment: the wake itself does not find the site.
		"before the wake": func(s cloud.Site, _ func()) {
			if err := w.store.Update(ctx, func(tx cloud.Tx) error { return tx.DeleteSite(s.ID) }); err != nil {
				t.Error(err)
			}
		},
	} {
		done, err := c.Import(ctx, operator, func() ([]cloud.OldSite, error) { // which makes it asleep
			return []cloud.OldSite{{Login: "alice", Group: "students", Domain: "blog.plil.net"}}, nil
		})
		if err != nil || done[0].Err != nil {
			t.Fatal(err, done)
		}
		s, err := c.Site(ctx, alice, "blog")
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Exec(ctx, alice, "blog", cloud.Exec{Argv: []string{"true"}, Progress: func(step string) {
			if step != "" {
				during(s, func() {
					if err := c.DeleteSite(ctx, alice, "blog"); err != nil {
						t.Error(err)
					}
				})
			}
		}})
		e := cloud.Explain(err, func() string { return "-" })
		if e.Kind != cloud.NotFound || e.Message != `no site "blog.plil.net"` || !strings.Contains(e.Hint, "site list") {
			t.Errorf("%s: %s: %s, hint %q", name, e.Kind, e.Message, e.Hint)
		}
	}
}

// vague is an engine that tells of a program only that it was killed: it does not know yet that its container is gone.
type vague struct{ *fake.Engine }

func (v vague) Exec(ctx context.Context, id string, x cloud.Exec) (int, error) {
	status, err := v.Engine.Exec(ctx, id, x)
	if err != nil && ctx.Err() == nil {
		return 128 + 9, nil
	}
	return status, err
}

// TestAnEngineThatIsLateToTellRegression: who took the container away knows why the program was killed.
func TestAnEngineThatIsLateToTellRegression(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, kind := range []cloud.Type{cloud.PHP, cloud.Static} {
		w := newWorld(t)
		c := w.openWith(nil, func(o *cloud.Options) { o.Engine = vague{w.engine} })
		defer c.Close()
		alice := w.person(c, "alice")
		w.site(c, alice, "blog", kind)
		sh := func(script string, out io.Writer) (int, error) {
			return c.Exec(ctx, alice, "blog", cloud.Exec{Argv: []string{"/bin/sh", "-c", script}, Stdout: out})
		}
		if status, err := sh("kill -KILL $$", io.Discard); status != 128+9 || err != nil {
			t.Errorf("%s: a program that kills itself: status %d, %v", kind, status, err)
		}
		said, out := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			_, err := sh("echo; exec sleep 1000", out)
			ended <- err
		}()
		if _, err := said.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := c.StopSite(ctx, alice, "blog"); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; cloud.KindOf(err) != cloud.Unavailable || !strings.Contains(err.Error(), "the site stopped while the program ran") {
			t.Errorf("%s: the program: %v", kind, err)
		}
	}
}
