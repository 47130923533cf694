package cloud

import (
	"cmp"
	"context"
	"hash/maphash"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// Limits of a report: it is made in one pass over the access log, in memory that does not grow with it.
const (
	visitGap    = 30 * time.Minute // a visitor who was away for longer comes anew
	maxVisitors = 50_000           // remembered at once; beyond, the oldest are forgotten and may count twice
	maxCounted  = 10_000           // paths counted at once; beyond, rare ones are undercounted
	topPaths    = 10
)

// Stats is what happened on a site in a while.
type Stats struct {
	Site     string      `json:"site"`
	Since    time.Time   `json:"since"`    // as asked
	First    time.Time   `json:"first"`    // of the requests counted: the log may not reach back to Since
	Visits   int64       `json:"visits"`   // a visitor is an address with a browser; 30 minutes apart are two visits
	Requests int64       `json:"requests"` // with those dropped
	Bytes    int64       `json:"bytes"`
	Codes    map[int]int `json:"codes"`
	Pages    []PathCount `json:"pages"`   // most asked for, and found
	Missed   []PathCount `json:"missed"`  // most asked for, and not found
	Dropped  int64       `json:"dropped"` // requests of which the log knows only that they were
}

// PathCount says how often a path was asked for, at least.
type PathCount struct {
	Path  string `json:"path"`
	Count int64  `json:"count"`
}

// SiteStats reports on a site from its access log.
func (c *Cloud) SiteStats(ctx context.Context, who Who, name string, since time.Time) (s Stats, err error) {
	err = c.doSite(ctx, who, SiteStats, name, func(_ Account, site Site) error {
		r := newReport(site.Name, since)
		if err := c.Hits.Read(ctx, site.ID, HitFilter{Since: since, Tail: -1}, r.add); err != nil {
			return err
		}
		s = r.stats()
		return nil
	})
	return s, err
}

// report adds hits up.
type report struct {
	sum           Stats
	pages, missed counts
	visitors      visitors
}

func newReport(site string, since time.Time) *report {
	return &report{
		sum:   Stats{Site: site, Since: since.UTC(), Codes: map[int]int{}},
		pages: counts{}, missed: counts{},
		visitors: visitors{seed: maphash.MakeSeed(), seen: map[uint64]time.Time{}},
	}
}

func (r *report) add(h Hit) error {
	if r.sum.First.IsZero() {
		r.sum.First = h.Time
	}
	if h.Dropped > 0 {
		r.sum.Dropped += h.Dropped
		r.sum.Requests += h.Dropped
		return nil
	}
	r.sum.Requests++
	r.sum.Bytes += h.Bytes
	r.sum.Codes[h.Status]++
	if r.visitors.isNew(h) {
		r.sum.Visits++
	}
	at, _, _ := strings.Cut(h.Path, "?")
	switch {
	case h.Status == http.StatusNotFound:
		r.missed.add(at)
	case h.Status < 400 && isPage(at):
		r.pages.add(at)
	}
	return nil
}

func (r *report) stats() Stats {
	r.sum.Pages, r.sum.Missed = r.pages.top(), r.missed.top()
	return r.sum
}

// isPage tells pages from the pictures, styles and scripts on them.
func isPage(at string) bool {
	return slices.Contains([]string{"", ".html", ".htm", ".xhtml", ".php"}, strings.ToLower(path.Ext(path.Base(at))))
}

// visitors remembers when each was last seen.
type visitors struct {
	seed maphash.Seed
	seen map[uint64]time.Time
}

// isNew notes a visitor and reports whether a visit begins.
func (v *visitors) isNew(h Hit) bool {
	var key maphash.Hash
	key.SetSeed(v.seed)
	key.WriteString(h.Client + "\x00" + h.Agent)
	id := key.Sum64()
	last, ok := v.seen[id]
	if !ok && len(v.seen) >= maxVisitors {
		v.forget(h.Time)
	}
	v.seen[id] = h.Time
	return !ok || h.Time.Sub(last) > visitGap
}

// forget makes room: those whose visit is over cost nothing, and if there are none, all must go.
func (v *visitors) forget(now time.Time) {
	for id, last := range v.seen {
		if now.Sub(last) > visitGap {
			delete(v.seen, id)
		}
	}
	if len(v.seen) >= maxVisitors {
		clear(v.seen)
	}
}

// counts counts the frequent among many (Misra and Gries, 1982): when it is full, each new path takes one from all.
// So a count is too low by at most a maxCounted-th of all, and what is frequent is never lost.
type counts map[string]int64

func (c counts) add(key string) {
	if _, ok := c[key]; ok || len(c) < maxCounted {
		c[key]++
		return
	}
	for k := range c {
		if c[k]--; c[k] == 0 {
			delete(c, k)
		}
	}
}

// top are the most frequent, and among equals the first by name.
func (c counts) top() []PathCount {
	list := make([]PathCount, 0, len(c))
	for k, n := range c {
		list = append(list, PathCount{k, n})
	}
	slices.SortFunc(list, func(a, b PathCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Path, b.Path))
	})
	return list[:min(topPaths, len(list))]
}
