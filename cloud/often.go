package cloud

import (
	"maps"
	"sync"
	"time"
)

// frequent are the actions that a browser or an editor asks for hundreds of times a minute. The audit tells of the
// first that a connection has on a site, and again a minute later: the rest would drive out what else is to be kept.
var frequent = map[Action]bool{SiteForward: true}

const (
	oftenTime = time.Minute
	oftenMost = 4096 // events remembered
)

// often remembers what the audit was told of late. The zero value is ready.
type often struct {
	mu   sync.Mutex
	told map[Event]time.Time
}

// again reports whether the like of e was told within the last minute; if not, it counts as told now.
func (o *often) again(e Event) bool {
	now := e.Time
	e.Time, e.Detail = time.Time{}, ""
	o.mu.Lock()
	defer o.mu.Unlock()
	if last, ok := o.told[e]; ok && now.Sub(last) < oftenTime {
		return true
	}
	if len(o.told) >= oftenMost {
		maps.DeleteFunc(o.told, func(_ Event, last time.Time) bool { return now.Sub(last) >= oftenTime })
	}
	if o.told == nil || len(o.told) >= oftenMost {
		o.told = map[Event]time.Time{}
	}
	o.told[e] = now
	return false
}
