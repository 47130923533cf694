package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// collect is how much garbage there may be, in percent of what is in use, where $GOGC does not say. Go's usual 100
	// lets a gateway with eight uploads grow to 90 MiB; with 50 it stays at about 60, in the same time.
	collect = 50
	// roomy is the heap, garbage and all, up to which a busy gateway may have more garbage than that. With little in use,
	// half as much is made by a few hundred requests: a tenth of the time went into collecting it.
	roomy   = 24 << 20
	most    = 400                    // percent, however little is in use
	busyGap = 500 * time.Millisecond // who collects again within this time is busy
)

// saveMemory sets how much garbage there may be, anew after each collection.
func saveMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collect)
		(&collector{last: time.Now(), percent: collect}).wait()
	}
}

type collector struct {
	last    time.Time // when it last collected
	percent int       // as set then
}

// wait has the next collection call next: Go has no hook for that, but cleans up after an object that nobody uses.
func (c *collector) wait() {
	type unused struct{ _ [16]byte } // smaller ones share a block, whose others would keep it alive
	runtime.AddCleanup(&unused{}, (*collector).next, c)
}

func (c *collector) next() {
	now := time.Now()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	percent := percentFor(live[0].Value.Uint64(), now.Sub(c.last))
	if percent != c.percent {
		debug.SetGCPercent(percent)
	}
	c.last, c.percent = now, percent
	c.wait()
}

// percentFor is how much garbage there may be beside what is in use (live, in bytes), after a collection that came gap after
// the one before. A gateway that has become quiet gives its room back at the next one.
func percentFor(live uint64, gap time.Duration) int {
	if gap > busyGap || live == 0 {
		return collect
	}
	return int(min(most, max(collect, int64(roomy*100/live)-100)))
}
