// Package fake is an engine for tests of what stands on cloud.Engine. A site is a web server in this process, and Exec
// runs programs on the host itself, as the uid of this process and with all its rights: nothing but tests may use it.
// Addresses in 127.0.0.0/8 work without any set-up. It passes provisiontest.
package fake

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"syscall"
	"time"

	"plil.net/nuage/cloud"
)

// SiteHeader names the site in each response of its web server.
const SiteHeader = "Nuage-Site"

// Engine is a cloud.Engine whose faults are switched by the test.
type Engine struct {
	mu       sync.Mutex
	sites    map[string]*site
	watchers map[*watcher]bool
	down     bool
	failUp   error
	slowUp   time.Duration
	slowWeb  time.Duration
	ups      map[string]int
	rising   int               // starts under way
	most     int               // of them at once
	images   map[string]string // names that lead to another image than that of their own name
	broken   map[string]bool   // images
	before   map[string]*site  // put aside by an Update, by id
	fault    func(id, step string)
}

var _ cloud.Engine = (*Engine)(nil)

// site is a container: its server and the programs that run in it live as long as alive.
type site struct {
	spec   cloud.Spec
	image  string
	log    *journal
	server *http.Server    // nil while it is stopped; a bare one's serves nobody
	alive  context.Context // of the present run
	kill   context.CancelCauseFunc
	exec   sync.WaitGroup
}

var errStopped = errors.New("the site stopped")

// New makes an engine without containers.
func New() *Engine {
	return &Engine{
		sites: map[string]*site{}, watchers: map[*watcher]bool{}, ups: map[string]int{},
		images: map[string]string{}, broken: map[string]bool{}, before: map[string]*site{}, fault: func(string, string) {},
	}
}

// SetDown makes the engine unreachable, or reachable again. What runs goes on running.
func (e *Engine) SetDown(down bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = down
	if down {
		for w := range e.watchers {
			w.cut(away())
		}
	}
}

// FailUp makes each Up that has something to start fail with err; nil ends that.
func (e *Engine) FailUp(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failUp = err
}

// SlowUp makes each Up that has something to start take so long.
func (e *Engine) SlowUp(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.slowUp = d
}

// SlowAnswers makes the web servers of sites that start from now on take so long for each answer.
func (e *Engine) SlowAnswers(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.slowWeb = d
}

// Die ends a container as if its web server had crashed.
func (e *Engine) Die(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stop(e.sites[id])
}

// Ups counts the starts of a site's container so far.
func (e *Engine) Ups(id string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ups[id]
}

// Most is how many starts were under way at once so far.
func (e *Engine) Most() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.most
}

// rise counts a start that is under way.
func (e *Engine) rise() (done func()) {
	add := func(n int) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.rising += n
		e.most = max(e.most, e.rising)
	}
	add(1)
	return func() { add(-1) }
}

// Spec is what a site's container was last made of.
func (e *Engine) Spec(id string) cloud.Spec {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.sites[id]; s != nil {
		return s.spec
	}
	return cloud.Spec{}
}

// Name is "docker": callers shall not treat the fake otherwise.
func (e *Engine) Name() string { return "docker" }

// Ping implements cloud.Engine.
func (e *Engine) Ping(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.reachable()
}

func (e *Engine) reachable() error {
	if e.down {
		return away()
	}
	return nil
}

func away() error {
	return cloud.Errorf(cloud.Unavailable, "the container engine does not answer").WithHint("try again in a moment")
}

// Up implements cloud.Engine.
func (e *Engine) Up(ctx context.Context, spec cloud.Spec) error { return e.bring(ctx, spec, nil) }

// bring is Up, or with may Update.
func (e *Engine) bring(ctx context.Context, spec cloud.Spec, may func(string) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.undo(spec.ID)
	e.mu.Lock()
	err, s, slow, image := e.reachable(), e.sites[spec.ID], e.slowUp, e.imageID(spec.Image)
	e.mu.Unlock()
	if err != nil || s.madeFrom(spec) && s.running(e) {
		return err
	}
	defer e.rise()()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if may != nil && s != nil && !s.running(e) && s.image != image && may(image) {
		return e.update(s, spec, image)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := errors.Join(e.reachable(), e.failUp); err != nil {
		return err
	}
	if s == nil {
		s = &site{log: newJournal(), image: image}
		e.sites[spec.ID] = s
	}
	e.stop(s)
	s.spec = spec
	return e.start(s)
}

// madeFrom is true also where the spec names another image.
func (s *site) madeFrom(spec cloud.Spec) bool {
	if s == nil {
		return false
	}
	spec.Image = s.spec.Image
	return reflect.DeepEqual(s.spec, spec)
}

func (s *site) running(e *Engine) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return s.server != nil
}

func (e *Engine) start(s *site) error {
	if e.broken[s.image] {
		return e.failed(s, errors.New("its image is broken"))
	}
	if _, err := os.Stat(s.spec.Home); err != nil {
		return e.failed(s, err)
	}
	var l net.Listener
	if !s.spec.Bare {
		var err error
		if l, err = listen(netip.AddrPortFrom(s.spec.Address, cloud.WebPort)); err != nil {
			return e.failed(s, err)
		}
	}
	name, slow, files := s.spec.Name, e.slowWeb, http.FileServer(http.Dir(filepath.Join(s.spec.Home, s.spec.Root)))
	s.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(slow)
		w.Header().Set(SiteHeader, name)
		files.ServeHTTP(w, r)
	})}
	s.alive, s.kill = context.WithCancelCause(context.Background())
	s.log.begin()
	if server := s.server; l != nil {
		s.exec.Go(func() { _ = server.Serve(l) })
	}
	e.ups[s.spec.ID]++
	e.tell(s.spec.ID, true)
	return nil
}

// listen tries for a while: a program that Exec is just starting holds a copy of the closed listener of before until
// it has become itself.
func listen(at netip.AddrPort) (l net.Listener, err error) {
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		l, err = net.Listen("tcp", at.String())
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return l, err
}

func (e *Engine) failed(s *site, cause error) error {
	return cloud.Errorf(cloud.Unavailable, "site %q did not come up", s.spec.Name).
		WithHint("see why: site logs %s", s.spec.Name).Because(cause)
}

// stop ends the site's run, if it runs, with e.mu held.
func (e *Engine) stop(s *site) {
	if s == nil || s.server == nil {
		return
	}
	_ = s.server.Close()
	s.server = nil
	s.kill(errStopped)
	s.exec.Wait()
	s.log.end()
	e.tell(s.spec.ID, false)
}

// Down implements cloud.Engine.
func (e *Engine) Down(_ context.Context, id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.reachable(); err != nil {
		return err
	}
	e.stop(e.sites[id])
	return nil
}

// Remove implements cloud.Engine.
func (e *Engine) Remove(_ context.Context, id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.reachable(); err != nil {
		return err
	}
	e.stop(e.sites[id])
	delete(e.sites, id)
	delete(e.before, id)
	return nil
}

// Tidy has nothing to tidy: there is no network between sites.
func (*Engine) Tidy(context.Context, []cloud.Container) {}

// List implements cloud.Engine.
func (e *Engine) List(context.Context) ([]cloud.Container, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.reachable(); err != nil {
		return nil, err
	}
	all := make([]cloud.Container, 0, len(e.sites))
	for id, s := range e.sites {
		all = append(all, cloud.Container{ID: id, Name: s.spec.Name, Running: s.server != nil, Address: s.spec.Address, Image: s.image})
	}
	for id, s := range e.before {
		if e.sites[id] == nil {
			all = append(all, cloud.Container{ID: id, Name: s.spec.Name, Address: s.spec.Address, Image: s.image})
		}
	}
	return all, nil
}

// Close ends all containers. A real engine leaves them running; tests want nothing left.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.sites {
		e.stop(s)
	}
	return nil
}
