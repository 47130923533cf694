package cloud_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
)

// turnsFor is how long the owners of TestQuickTurns go on: NUAGE_TURNS=5m for a long look.
func turnsFor(t *testing.T) time.Duration {
	if text := os.Getenv("NUAGE_TURNS"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	return 3 * time.Second
}

// TestQuickTurns: while owners stop, start, restart, change and delete their sites, each visitor is given the page of the site asked
// for, or told to come again, or, around a delete, that there is none.
func TestQuickTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.engine.SlowUp(5 * time.Millisecond)
	w.engine.SlowAnswers(3 * time.Millisecond)
	w.engine.SetImage("other", "other@1", true)
	c := w.openWith(nil, func(o *cloud.Options) {
		o.Images, o.HealAfter = map[string]string{"8.4": "other"}, 100*time.Millisecond
	})
	t.Cleanup(c.Close)
	proxy := builtin.New(builtin.Options{
		Sites: c.Cloud, Domains: cloud.Domains{"plil.net"}, Limits: builtin.Limits{Wakes: 1 << 20}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	c.Publisher = proxy
	web := httptest.NewServer(proxy.Handler())
	t.Cleanup(web.Close)
	ctx, cancel := context.WithTimeout(t.Context(), turnsFor(t))
	defer cancel()
	var running, all sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	counts := &answers{}
	for n := range 3 {
		s := &turning{t: t, world: w, cloud: c, web: web.URL, name: fmt.Sprintf("s%d.plil.net", n), owner: w.person(c, fmt.Sprintf("p%d", n)), counts: counts}
		s.page = "the page of " + s.name
		s.make(ctx)
		all.Go(func() { s.turn(ctx, rand.New(rand.NewPCG(uint64(n), 1))) })
		for v := range 4 {
			all.Go(func() { s.visit(ctx, rand.New(rand.NewPCG(uint64(n), uint64(2+v)))) })
		}
	}
	all.Wait()
	running.Wait()
	t.Log(counts)
	if counts.of("200") == 0 || counts.of("503") == 0 {
		t.Error("that was no test: nobody was given a page, or nobody was told to come again")
	}
}

// turning is a site whose owner changes it all the time.
type turning struct {
	t      *testing.T
	world  *world
	cloud  live
	web    string
	name   string
	owner  cloud.Who
	page   string
	absent atomic.Int64 // odd while the site may not be there
	counts *answers
}

func (s *turning) make(ctx context.Context) {
	site, err := s.cloud.CreateSite(ctx, s.owner, cloud.NewSite{Name: s.name, Type: cloud.PHP})
	for _, root := range []string{"www", "www/sub"} {
		dir := filepath.Join(s.world.homes.Path(site), root)
		if err == nil {
			err = os.MkdirAll(dir, 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "page"), []byte(s.page), 0o644)
		}
		if err == nil {
			err = os.Rename(filepath.Join(dir, "page"), filepath.Join(dir, "page.txt")) // nobody sees the half of it
		}
	}
	if err != nil && ctx.Err() == nil {
		s.t.Errorf("create %s: %v", s.name, err)
	}
}

// turn changes the site until ctx ends.
func (s *turning) turn(ctx context.Context, chance *rand.Rand) {
	set := func(pair string) func() error {
		return func() error { _, err := s.cloud.SetSite(ctx, s.owner, s.name, []string{pair}); return err }
	}
	moves := map[string]func() error{
		"start":   func() error { return s.cloud.StartSite(ctx, s.owner, s.name) },
		"stop":    func() error { return s.cloud.StopSite(ctx, s.owner, s.name) },
		"restart": func() error { return s.cloud.RestartSite(ctx, s.owner, s.name) },
		"static":  set("type=static"), "php": set("type=php"), "php=8.4": set("php=8.4"), "php=": set("php="),
		"root=www/sub": set("root=www/sub"), "root=": set("root="),
		"delete": func() error {
			s.absent.Add(1)
			err := s.cloud.DeleteSite(ctx, s.owner, s.name)
			s.make(ctx)
			s.absent.Add(1)
			return err
		},
	}
	names := slices.Sorted(maps.Keys(moves))
	for ctx.Err() == nil {
		name := names[chance.IntN(len(names))]
		if err := moves[name](); err != nil && ctx.Err() == nil {
			s.t.Errorf("%s of %s: %v", name, s.name, err)
		}
		if name == "stop" { // most of the time it shall run
			wait(ctx, time.Duration(chance.IntN(20))*time.Millisecond)
			if err := moves["start"](); err != nil && ctx.Err() == nil {
				s.t.Errorf("start of %s: %v", s.name, err)
			}
		}
		wait(ctx, time.Duration(chance.IntN(60))*time.Millisecond)
	}
}

// visit asks for the site until ctx ends, as several kinds of programs do.
func (s *turning) visit(ctx context.Context, chance *rand.Rand) {
	client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		method := []string{"GET", "GET", "HEAD", "POST"}[chance.IntN(4)]
		before := s.absent.Load()
		what, wrong := s.ask(client, method)
		maybeGone := before%2 == 1 || s.absent.Load() != before
		if wrong && !(what == "404" && maybeGone) {
			s.t.Errorf("%s %s: %s", method, s.name, what)
		}
		s.counts.add(what)
		wait(ctx, time.Duration(chance.IntN(4))*time.Millisecond)
	}
}

// ask says what came of a request, and whether that is wrong.
func (s *turning) ask(client *http.Client, method string) (what string, wrong bool) {
	r, err := http.NewRequest(method, s.web+"/page.txt", strings.NewReader(map[string]string{"POST": "a=b"}[method]))
	if err != nil {
		return err.Error(), true
	}
	r.Host = s.name
	began := time.Now()
	res, err := client.Do(r)
	if err != nil {
		return "no answer: " + err.Error(), true
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	took := time.Since(began)
	switch {
	case err != nil:
		return "cut: " + err.Error(), true
	case took > 40*time.Second:
		return fmt.Sprintf("%d after %s", res.StatusCode, took), true
	case res.StatusCode == 200 && (method == "HEAD" || string(body) == s.page):
		return "200", false
	case res.StatusCode == 503 && res.Header.Get("Retry-After") != "":
		return "503", false
	case res.StatusCode == 405 && strings.Contains(string(body), "A static site only gives out files"):
		return "405", false
	case res.StatusCode == 404:
		return "404", true
	}
	return fmt.Sprintf("%d %q", res.StatusCode, body), true
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// answers are counted by what they were.
type answers struct {
	mu sync.Mutex
	n  map[string]int
}

func (a *answers) add(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n == nil {
		a.n = map[string]int{}
	}
	a.n[what]++
}

func (a *answers) of(what string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n[what]
}

func (a *answers) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return fmt.Sprint(a.n)
}
