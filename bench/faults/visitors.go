package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// visitors ask for sites all the time and look whose secret they are told.
type visitors struct {
	web  *http.Client
	base atomic.Value // string: where the gateway serves now

	mu      sync.Mutex
	secrets map[string]string // of all that ever were, with the name of their site
	names   []string          // of sites that somebody may ask for
	bad     []string
	counts  tally
}

var secretLine = regexp.MustCompile(`secret=([0-9a-f]+)`)

// meet makes a site known, with its secret.
func (v *visitors) meet(name, secret string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.secrets == nil {
		v.secrets = map[string]string{}
	}
	v.secrets[secret] = name
	if !slices.Contains(v.names, name) {
		v.names = append(v.names, name)
	}
}

// back has a site asked for again.
func (v *visitors) back(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.names = append(v.names, name)
}

// part forgets a site that is no more; not its secret, which nobody else may tell.
func (v *visitors) part(name string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.names = slices.DeleteFunc(v.names, func(n string) bool { return n == name })
}

func (v *visitors) any(chance *rand.Rand) (name string, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.names) == 0 {
		return "", false
	}
	return v.names[chance.IntN(len(v.names))], true
}

// ask asks for a site and returns the secret that it tells, "" for none.
func (v *visitors) ask(ctx context.Context, name string) (secret string, status int, err error) {
	r, err := http.NewRequestWithContext(ctx, "GET", v.base.Load().(string)+"/", nil)
	if err != nil {
		return "", 0, err
	}
	r.Host = name
	resp, err := v.web.Do(r)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if m := secretLine.FindSubmatch(body); m != nil {
		secret = string(m[1])
		v.judge(name, secret)
	}
	return secret, resp.StatusCode, err
}

// judge notes an answer that came from another site.
func (v *visitors) judge(name, secret string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if of, known := v.secrets[secret]; !known || of != name {
		v.bad = append(v.bad, fmt.Sprintf("a visitor of %s was told the secret of %q", name, of))
	}
}

func (v *visitors) wrong() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]string{}, v.bad...)
}

// roam asks for one site after the other and counts what comes back.
func (v *visitors) roam(ctx context.Context, s *stage, chance *rand.Rand) {
	for ; ctx.Err() == nil; time.Sleep(3 * time.Millisecond) { // the machine has others to serve
		name, ok := v.any(chance)
		if !ok {
			continue
		}
		began := time.Now()
		secret, status, err := v.ask(ctx, name)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			v.counts.add("without an answer", 1)
			time.Sleep(10 * time.Millisecond)
		case secret != "":
			v.counts.add("own secret", 1)
			v.counts.longest("answer", time.Since(began))
		case status == http.StatusOK:
			v.counts.add("welcome", 1) // no page of its own yet
		default:
			v.counts.add(fmt.Sprintf("%d", status), 1)
		}
	}
}
