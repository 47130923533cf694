package cloud

import (
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

// NewClock makes a Clock of a host whose gateway wrote its last record at last; zero if that is not known. A clock that
// has gone on for more than a day since then, or has gone back, is believed after a day.
func NewClock(last time.Time, now func() time.Time, log *slog.Logger) *Clock {
	k := &Clock{now: now, settles: clockSettles, log: log, began: time.Now(), epoch: now().Round(0)}
	if gap := k.epoch.Sub(last); !last.IsZero() && (gap < -clockSlack || gap > clockSettles) {
		k.epoch = last
	}
	return k
}

// Steady reports whether the clock has gone as time has, for a day or since it last was believed. No Clock always has.
func (k *Clock) Steady() bool {
	if k == nil {
		return true
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
		return false
	case time.Since(k.odd) < k.settles:
		return false
	}
	k.odd, k.epoch = time.Time{}, now.Add(-ran)
	return true
}

// warning is what an admin should know of the clock, "" for nothing.
func (k *Clock) warning() string {
	if k.Steady() {
		return ""
	}
	return "the clock has jumped: nothing is deleted for its age until it has been steady for a day"
}
