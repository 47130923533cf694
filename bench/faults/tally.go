package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// tally counts what happened. The zero value is ready.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
	worst  map[string]time.Duration
}

func (t *tally) add(what string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[string]int{}
	}
	t.counts[what] += n
}

func (t *tally) count(what string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[what]
}

// longest keeps the longest of a kind.
func (t *tally) longest(what string, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.worst == nil {
		t.worst = map[string]time.Duration{}
	}
	t.worst[what] = max(t.worst[what], d)
}

func (t *tally) most(what string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.worst[what].Round(time.Millisecond)
}

// list tells the counts whose names begin so, as "12 created, 3 deleted".
func (t *tally) list(prefix string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(t.counts)) {
		if rest, ok := strings.CutPrefix(name, prefix); ok && t.counts[name] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", t.counts[name], rest))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func (t *tally) copy() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.counts)
}
