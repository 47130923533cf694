package cloud_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/provision"
)

// lodging is a static site, and its owner who runs programs in it.
type lodging struct {
	t     *testing.T
	world *world
	cloud live
	owner cloud.Who
	cloud.Site
}

// static makes a static site whose container waits a second for the next program. A gateway runs if it should.
func static(t *testing.T, runs bool) *lodging {
	t.Helper()
	w := newWorld(t)
	c := w.open(nil)
	alice := w.person(c, "alice")
	if err := c.SetAccount(context.Background(), operator, "alice", []string{"idle=1s", "disk=1MiB"}); err != nil {
		t.Fatal(err)
	}
	l := &lodging{t, w, c, alice, w.site(c, alice, "blog", cloud.Static)}
	if runs {
		run(t, c)
	} else {
		t.Cleanup(c.Close)
	}
	return l
}

// sh runs a shell command.
func (l *lodging) sh(script string) (stdout string, status int, err error) {
	var out bytes.Buffer
	status, err = l.cloud.Exec(context.Background(), l.owner, l.Name, cloud.Exec{
		Argv: []string{"/bin/sh", "-c", script}, Stdout: &out, Stderr: io.Discard,
	})
	return out.String(), status, err
}

// well wants a program to run.
func (l *lodging) well(when string) {
	l.t.Helper()
	if out, status, err := l.sh("echo hello; exit 3"); out != "hello\n" || status != 3 || err != nil {
		l.t.Errorf("%s: %q, status %d, %v", when, out, status, err)
	}
}

// works begins a program that does not end by itself. end ends it.
func (l *lodging) works() (ended chan error, end func()) {
	l.t.Helper()
	in, out := io.Pipe()
	began, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := l.cloud.Exec(context.Background(), l.owner, l.Name, cloud.Exec{
			Argv: []string{"/bin/sh", "-c", "echo; cat"}, Stdin: in, Stdout: &first{began: began}, Stderr: io.Discard,
		})
		ended <- err
	}()
	select {
	case <-began:
	case err := <-ended:
		l.t.Fatalf("no program begins: %v", err)
	}
	l.t.Cleanup(func() { out.Close() })
	return ended, func() { out.Close() }
}

// first tells when something is written.
type first struct {
	once  sync.Once
	began chan struct{}
}

func (f *first) Write(p []byte) (int, error) {
	f.once.Do(func() { close(f.began) })
	return len(p), nil
}

// served wants the site to be on the web as if nothing was.
func (l *lodging) served() {
	l.t.Helper()
	r := l.cloud.routes
	r.mu.Lock()
	if len(r.last) != 1 || r.last[0].State != cloud.Running || r.last[0].Type != cloud.Static {
		l.t.Errorf("routes: %+v", r.last)
	}
	r.mu.Unlock()
	if s, err := l.cloud.Status(context.Background(), operator); err != nil || s.Sites[cloud.Running] != 1 || len(s.Sites) != 1 || s.Outdated != 0 {
		l.t.Errorf("status: %+v, %v", s.Sites, err)
	}
}

func (l *lodging) empty() bool { return !strings.Contains(l.world.rests(), "container") }

func TestProgramsOfAStaticSite(t *testing.T) {
	t.Parallel()
	l := static(t, true)
	if !l.empty() {
		t.Fatalf("before any program: %s", l.world.rests())
	}
	l.world.engine.SlowUp(100 * time.Millisecond)
	var many sync.WaitGroup
	for range 50 {
		many.Go(func() { l.well("one of many") })
	}
	many.Wait()
	if ups := l.world.engine.Ups(l.ID); ups != 1 {
		t.Errorf("%d starts for many programs", ups)
	}
	s := l.world.engine.Spec(l.ID)
	if !s.Bare || s.Address.IsValid() || s.Group.Name != "" || s.UID != l.UID || s.Memory != 128<<20 || s.CPUs != 1 || s.ReadOnly {
		t.Errorf("made of %+v", s)
	}
	l.served()

	ended, end := l.works()
	began := time.Now()
	soon(t, "its idle time is long over", func() bool { return time.Since(began) > 5*time.Second })
	if l.empty() {
		t.Error("the container went under a program")
	}
	end()
	if err := <-ended; err != nil {
		t.Errorf("a long program: %v", err)
	}
	soon(t, "the container is gone", l.empty)
	l.served()
	l.well("the next")
}

// TestStaticSitesStartAFewAtATime: they take a place like those that wake.
func TestStaticSitesStartAFewAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.openWith(nil, func(o *cloud.Options) { o.Groups[0].MaxSites = 20 })
	defer c.Close()
	alice := w.person(c, "alice")
	w.engine.SlowUp(100 * time.Millisecond)
	var all sync.WaitGroup
	for n := range 12 {
		l := &lodging{t, w, c, alice, w.site(c, alice, fmt.Sprintf("blog%d", n), cloud.Static)}
		all.Go(func() { l.well(l.Name) })
	}
	all.Wait()
	if most := w.engine.Most(); most > 3 || most < 2 {
		t.Errorf("%d started at once", most)
	}
}

// TestWhatBecomesOfProgramsOfAStaticSite: what ends them says so, and leaves what is due.
func TestWhatBecomesOfProgramsOfAStaticSite(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	set := func(l *lodging, pair string) error {
		_, err := l.cloud.SetSite(ctx, l.owner, l.Name, []string{pair})
		return err
	}
	for _, tc := range []struct {
		what   string
		do     func(l *lodging) error
		says   string // "" where it goes on
		leaves string // of containers
	}{
		{"delete", func(l *lodging) error { return l.cloud.DeleteSite(ctx, l.owner, l.Name) }, "was deleted while the program ran", ""},
		{"stop", func(l *lodging) error { return l.cloud.StopSite(ctx, l.owner, l.Name) }, "the site stopped while the program ran", ""},
		{"restart", func(l *lodging) error { return l.cloud.RestartSite(ctx, l.owner, l.Name) }, "the site stopped while the program ran", ""},
		{"type=php", func(l *lodging) error { return set(l, "type=php") }, "became a php site while the program ran", "container blog.plil.net running=true"},
		{"root=www/public", func(l *lodging) error { return set(l, "root=www/public") }, "", "container blog.plil.net running=true"},
		{"Reconcile", func(l *lodging) error { return l.cloud.Reconcile(ctx) }, "", "container blog.plil.net running=true"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			l := static(t, false)
			ended, end := l.works()
			if err := tc.do(l); err != nil {
				t.Fatal(err)
			}
			if tc.says == "" {
				end()
			}
			err := <-ended
			if tc.says == "" && err != nil || tc.says != "" && (cloud.KindOf(err) != cloud.Unavailable || !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("the program: %v", err)
			}
			var left []string
			for _, rest := range strings.Split(l.world.rests(), ", ") {
				if strings.HasPrefix(rest, "container") {
					left = append(left, rest)
				}
			}
			if got := strings.Join(left, ", "); got != tc.leaves {
				t.Errorf("left: %s", got)
			}
		})
	}
}

// TestStoppedAndBack: a static site that is stopped runs no program, as any other.
func TestStoppedAndBack(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	l := static(t, false)
	if err := l.cloud.StopSite(ctx, l.owner, l.Name); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.sh("true"); cloud.KindOf(err) != cloud.Unavailable || !strings.Contains(err.Error(), "is stopped") {
		t.Errorf("a program of a stopped site: %v", err)
	}
	if err := l.cloud.StartSite(ctx, l.owner, l.Name); err != nil {
		t.Fatal(err)
	}
	l.well("started again")
}

// TestTypesChangeUnderPrograms: whichever type a site has, programs run, and its visitors are led where it is served.
func TestTypesChangeUnderPrograms(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	l := static(t, true)
	for range 3 {
		l.well("static")
		if _, err := l.cloud.SetSite(ctx, l.owner, l.Name, []string{"type=php"}); err != nil {
			t.Fatal(err)
		}
		at, release, err := l.cloud.Hold(ctx, l.ID)
		if err != nil {
			t.Fatal(err)
		}
		if conn, err := net.Dial("tcp", at.String()); err != nil {
			t.Errorf("a visitor: %v", err)
		} else {
			conn.Close()
		}
		l.well("php")
		release()
		if _, err := l.cloud.SetSite(ctx, l.owner, l.Name, []string{"type=static"}); err != nil {
			t.Fatal(err)
		}
		l.served()
	}
	l.well("static at the end")
	if _, err := l.cloud.SetSite(ctx, l.owner, l.Name, []string{"type=php"}); err != nil {
		t.Fatal(err)
	}
	l.cloud.asleep(t, l.owner, l.Name) // as a PHP site: its container is not taken for one of a static one
	if !strings.Contains(l.world.rests(), "container blog.plil.net running=false") {
		t.Errorf("left: %s", l.world.rests())
	}
	if _, err := l.cloud.SetSite(ctx, l.owner, l.Name, []string{"type=static"}); err != nil {
		t.Fatal(err)
	}
	l.served()
}

// TestWhatACrashLeavesOfPrograms is removed by the next gateway.
func TestWhatACrashLeavesOfPrograms(t *testing.T) {
	t.Parallel()
	l := static(t, false)
	l.well("before the crash")
	if l.empty() {
		t.Fatal("nothing is left: the test tests nothing")
	}
	next := l.world.open(nil)
	defer next.Close()
	if err := next.Reconcile(context.Background()); err != nil || !l.empty() {
		t.Errorf("left: %s, %v", l.world.rests(), err)
	}
	status, err := next.Status(context.Background(), operator)
	if err != nil || len(status.Repairs) != 1 || !strings.Contains(status.Repairs[0].Text, `"blog.plil.net", which is static`) {
		t.Errorf("repairs %+v, %v", status.Repairs, err)
	}
	l.cloud = next
	l.well("after it")
}

// TestAContainerOfProgramsThatDies is no death of the site: the next program has it come up again.
func TestAContainerOfProgramsThatDies(t *testing.T) {
	t.Parallel()
	l := static(t, true)
	for range 3 {
		l.well("before")
		ups := l.world.engine.Ups(l.ID)
		l.world.engine.Die(l.ID)
		soon(t, "a program runs again", func() bool { _, status, err := l.sh("exit 3"); return status == 3 && err == nil })
		if again := l.world.engine.Ups(l.ID) - ups; again != 1 {
			t.Errorf("started %d times", again)
		}
		l.served()
	}
}

// TestAProgramThatFillsAStaticSite ends, in words; the next ones may only read until there is room.
func TestAProgramThatFillsAStaticSite(t *testing.T) {
	t.Parallel()
	l := static(t, true)
	ended, _ := l.works()
	file := filepath.Join(l.world.homes.Path(l.Site), "big")
	if err := os.WriteFile(file, make([]byte, 2<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; cloud.KindOf(err) != cloud.Unavailable || !strings.Contains(err.Error(), "outgrown its disk limit") {
		t.Errorf("the program: %v", err)
	}
	l.well("while it is full")
	if !l.world.engine.Spec(l.ID).ReadOnly {
		t.Error("its home may be written")
	}
	l.served()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	soon(t, "it may write again", func() bool { return !isFull(l.cloud, "blog") })
	l.well("with room again")
	if l.world.engine.Spec(l.ID).ReadOnly {
		t.Error("its home is read-only still")
	}
}

// TestProgramsInTurns: while its owner stops, starts, changes and deletes a site, each program runs, or is told why not.
func TestProgramsInTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.engine.SetImage("other", "other@1", true)
	c := w.openWith(nil, func(o *cloud.Options) { o.Images = map[string]string{"8.4": "other"} })
	run(t, c)
	s := &turning{t: t, world: w, cloud: c, name: "s.plil.net", owner: w.person(c, "p")}
	ctx, cancel := context.WithTimeout(t.Context(), turnsFor(t))
	defer cancel()
	s.make(ctx)
	var all sync.WaitGroup
	all.Go(func() { s.turn(ctx, rand.New(rand.NewPCG(1, 1))) })
	for range 3 {
		all.Go(func() {
			for ; ctx.Err() == nil; wait(ctx, 20*time.Millisecond) {
				status, err := c.Exec(context.Background(), s.owner, s.name, cloud.Exec{Argv: []string{"/bin/sh", "-c", "exit 3"}})
				switch kind := cloud.KindOf(err); {
				case err == nil && status == 3, kind == cloud.Unavailable, kind == cloud.NotFound, kind == cloud.Conflict:
				default:
					t.Errorf("a program: status %d, %v", status, err)
				}
			}
		})
	}
	all.Wait()
}

func TestNoEngineNoPrograms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.openWith(nil, func(o *cloud.Options) { o.Engine = provision.None{} })
	defer c.Close()
	alice := w.person(c, "alice")
	w.site(c, alice, "blog", cloud.Static)
	_, err := c.Exec(context.Background(), alice, "blog", cloud.Exec{Argv: []string{"true"}})
	if e := cloud.Explain(err, func() string { return "-" }); e.Kind != cloud.Invalid || !strings.Contains(e.Message, "is a static site") || !strings.Contains(e.Hint, "scp -r") {
		t.Errorf("%s: %s, hint %q", e.Kind, e.Message, e.Hint)
	}
}
