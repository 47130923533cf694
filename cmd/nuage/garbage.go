package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// collect is how much garbage there may be for what is in use, in percent, where $GOGC does not say. Go's usual 100
	// lets a gateway with eight uploads grow to 90 MiB; with 50 it stays at about 60, for no time that could be measured.
	collect = 50
	// roomy is the heap that a busy gateway may have, garbage and all, before that rule holds. With little in use, half as
	// much garbage is made by a few hundred requests: a tenth of the time went into collecting it.
	roomy   = 24 << 20
	most    = 400                    // percent
	busyGap = 500 * time.Millisecond // between two collections, at most, of a gateway that is busy
)

// saveMemory decides how much garbage there may be, after each collection.
func saveMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collect)
		(&collector{last: time.Now(), percent: collect}).wait()
	}
}

type collector struct {
	last    time.Time // collection
	percent int
}

// wait lets the next collection call next, by an object that it finds unused.
func (c *collector) wait() {
	type unused struct{ _ [16]byte } // not so small that it shares its place with others
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

// percentFor is how much garbage there may be for what is in use, after a collection that came so long after the one
// before. A gateway that has become quiet gives its room back.
func percentFor(live uint64, gap time.Duration) int {
	if gap > busyGap || live == 0 {
		return collect
	}
	return int(min(most, max(collect, int64(roomy*100/live)-100)))
}
