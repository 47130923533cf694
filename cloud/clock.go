package cloud

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	clockSettles = 24 * time.Hour // until a new time is believed
	clockSlack   = time.Hour      // that a clock may be put right by without a word
)

// Clock tells the time, and whether what throws old things away may believe it: a host whose clock is suddenly a year
// ahead must not lose what it has kept for a year.
type Clock struct {
	now     func() time.Time
	settles time.Duration
	log     *slog.Logger

	mu    sync.Mutex
	began time.Time // as the kernel counts, whoever sets the clock
	epoch time.Time // what the clock said then, as far as it is believed
	odd   time.Time // as began: since when it has said something else; zero: it has not
}

// NewClock makes a Clock of a host whose clock was last believed at last; zero if that is not known. A clock that has gone
// on for more than a day since then, or has gone back, is believed after a day.
func NewClock(last time.Time, now func() time.Time, log *slog.Logger) *Clock {
	k := &Clock{now: now, settles: clockSettles, log: log, began: time.Now(), epoch: now().Round(0)}
	if gap := k.epoch.Sub(last); !last.IsZero() && (gap < -clockSlack || gap > clockSettles) {
		k.epoch = last
	}
	return k
}

// Steady reports whether the clock has gone as time has, for a day or since it last was believed. No Clock always has.
func (k *Clock) Steady() bool { return k.jump() == 0 }

// ahead is by how much the clock may be ahead, as far as it is not believed.
func (k *Clock) ahead() time.Duration { return max(0, k.jump()) }

// jump is by how much the clock is off what it would say had it gone as time has; 0 once it is believed.
func (k *Clock) jump() time.Duration {
	if k == nil {
		return 0
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	ran := time.Since(k.began)
	now := k.now().Round(0) // as it is set: a difference of two readings would be the kernel's count
	jump := now.Sub(k.epoch.Add(ran))
	switch {
	case jump.Abs() <= clockSlack:
		k.odd = time.Time{}
	case k.odd.IsZero():
		k.odd = time.Now()
		k.log.Warn("the clock has jumped: nothing is deleted for its age until it has been steady for a while", "by", jump.Round(time.Second), "until", k.settles)
		return jump
	case time.Since(k.odd) < k.settles:
		return jump
	}
	k.odd, k.epoch = time.Time{}, now.Add(-ran)
	return 0
}

// warning is what an admin should know of the clock, "" for nothing.
func (k *Clock) warning() string {
	jump, where := k.jump(), "ahead of"
	switch {
	case jump == 0:
		return ""
	case jump < 0:
		where = "behind"
	}
	return fmt.Sprintf("the clock is %s %s what it was last believed to be, with the time since: if it is wrong, set it (timedatectl); "+
		"nothing is deleted for its age until it has been steady for a day", span(jump.Abs()), where)
}

// span is a time as people say it.
func span(d time.Duration) string {
	if d >= 2*24*time.Hour {
		return fmt.Sprintf("%d days", d.Round(24*time.Hour)/(24*time.Hour))
	}
	return d.Round(time.Minute).String()
}
