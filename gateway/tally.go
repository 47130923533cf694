package gateway

import "sync"

// tally counts what the accounts have open. The zero value is ready.
type tally struct {
	mu   sync.Mutex
	open map[string]int
}

// add counts one more of an account, unless it has limit of them.
func (t *tally) add(account string, limit int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[account] >= limit {
		return false
	}
	if t.open == nil {
		t.open = map[string]int{}
	}
	t.open[account]++
	return true
}

func (t *tally) drop(account string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[account]--; t.open[account] == 0 {
		delete(t.open, account)
	}
}

func (t *tally) count(account string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open[account]
}
