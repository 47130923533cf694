package main

import (
	"context"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Why fewer cores can be faster: while a core is free, Go wakes a thread for each goroutine that has something to do. The
// thread looks for more work, finds none and sleeps again. Where a client asks one small thing after the other, as scp of
// small files does, that is half of all that the gateway does. So Go runs on one core while there is little to do and
// threads sleep and wake much, and on all of them as soon as that is not enough. docs/benchmarks.md has what it gains.
//
// The numbers are measured, with scp of 3,000 small files, sftp of large ones, and visitors.
const (
	lookMany = 100 * time.Millisecond // between two looks while all cores are in use: seldom, so that an idle gateway sleeps
	lookOne  = 20 * time.Millisecond  // between two looks on one core: often, because work may be waiting for another

	little   = 0.7    // cores: less use than this fits on one
	much     = 0.85   // cores: more use than this does not. The gap keeps it from going to and fro
	restless = 2000   // sleeps of threads a second: fewer cost nothing
	hectic   = 20_000 // sleeps for each second of work: small files make 50,000, large ones 10,000

	fullLooks  = 2                      // in a row before all cores come back: 20 ms may be full by chance
	quietLooks = 10                     // in a row without many sleeps before they come back: the reason is gone
	stay       = 500 * time.Millisecond // on all cores at least, once they were needed

	visitors = 100 // requests a second that always get all cores: a request must not wait behind an upload
)

// used is what the process has used since it began.
type used struct {
	cpu    time.Duration
	sleeps int64 // of its threads
	asked  int64 // requests of the web
	at     time.Time
}

// cores decides whether one core is enough.
type cores struct {
	last        used
	one         bool
	full, quiet int       // looks in a row, while on one core
	needed      time.Time // when all cores were last needed
}

// next is told at each look what was used until then, and says whether one core is enough until the next look.
func (c *cores) next(now used) (one bool) {
	seconds := now.at.Sub(c.last.at).Seconds()
	busy, sleeps := (now.cpu-c.last.cpu).Seconds()/seconds, float64(now.sleeps-c.last.sleeps)/seconds
	asked := float64(now.asked-c.last.asked) / seconds
	c.last = now
	if asked > visitors {
		c.one, c.needed = false, now.at
		return false
	}
	small := sleeps > restless && sleeps > hectic*busy
	if !c.one {
		c.full, c.quiet = 0, 0
		c.one = small && busy < little && now.at.Sub(c.needed) > stay
		return c.one
	}
	if c.full++; busy <= much {
		c.full = 0
	}
	if c.quiet++; small {
		c.quiet = 0
	}
	if c.full == fullLooks {
		c.needed = now.at
	}
	c.one = c.full < fullLooks && c.quiet < quietLooks
	return c.one
}

// followLoad sets the number of cores that Go uses, until ctx ends; asked counts the requests of the web. Where $GOMAXPROCS
// says how many, or there is only one, it does nothing.
func followLoad(ctx context.Context, asked func() int64) {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) > 1 {
		follow(ctx, func() used {
			now := usedNow()
			now.asked = asked()
			return now
		})
	}
}

func follow(ctx context.Context, look func() used) {
	defer runtime.SetDefaultGOMAXPROCS()
	c := cores{last: look()}
	pause := lookMany
	for passed(ctx, pause) {
		was := c.one
		switch one := c.next(look()); {
		case one && !was:
			runtime.GOMAXPROCS(1)
			pause = lookOne
		case was && !one:
			runtime.SetDefaultGOMAXPROCS()
			pause = lookMany
		}
	}
}

// passed waits, and tells whether ctx goes on.
func passed(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func usedNow() used {
	u, at := unix.Rusage{}, time.Now()
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // fails for no argument of ours
	return used{cpu: time.Duration(u.Utime.Nano() + u.Stime.Nano()), sleeps: u.Nvcsw, at: at}
}
