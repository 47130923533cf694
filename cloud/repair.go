package cloud

import (
	"fmt"
	"sync"
	"time"
)

const repairsKept = 50

// Repair is one thing that Reconcile put right.
type Repair struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

type repairs struct {
	mu   sync.Mutex
	list []Repair
}

func (r *repairs) add(now time.Time, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, Repair{now.UTC(), text})
	if extra := len(r.list) - repairsKept; extra > 0 {
		r.list = r.list[extra:]
	}
}

func (r *repairs) all() []Repair {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Repair{}, r.list...)
}

func (c *Cloud) repaired(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	c.Log.Info("repaired", "what", text)
	c.repairs.add(c.Now(), text)
}
