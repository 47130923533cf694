package cloud

import (
	"context"
	"fmt"
	"time"
)

const (
	warnAhead = 7 * 24 * time.Hour // of the expiry of keys, but not for more than a quarter of their age
	maxNews   = 5                  // keys that a greeting names
)

// Greet notes that a key is used today, and says what its account should know at a login: keys that it got since this
// key was last told, and that the keys expire soon. Each key is told by itself: who came in with a new one cannot
// keep the others from hearing of it. Lines are as errors: "hint: " before what to type.
func (c *Cloud) Greet(ctx context.Context, who Who) (lines []string, err error) {
	if who.Account == Operator || who.Certificate != (UserCert{}) {
		return nil, nil
	}
	now := c.Now().UTC() // what comes from here on is told the next time
	var greeted Key
	var news []Key
	err = c.Store.View(ctx, func(tx Tx) error {
		a, err := tx.Account(who.Account)
		if err != nil {
			return err
		}
		if greeted, err = tx.Key(who.Key); err != nil || greeted.Account != a.Name {
			greeted = Key{}
			return nothing(err)
		}
		lines = c.expiryWarning(a)
		if a.Keyed.Before(greeted.Told) {
			return nil // as nearly always: a login does not read through all keys
		}
		keys, err := tx.Keys(a.Name)
		news = newerThan(greeted, keys)
		return err
	})
	if err != nil || greeted.Fingerprint == "" {
		return nil, err
	}
	lines = append(lines, c.newKeys(news)...)
	return lines, c.noteUse(ctx, greeted, now, news)
}

// nothing is err, but for a record that is not there.
func nothing(err error) error {
	if KindOf(err) == NotFound {
		return nil
	}
	return err
}

// newerThan keeps the other keys that came since one was told, or at that very moment: rather told twice than never.
func newerThan(greeted Key, keys []Key) (newer []Key) {
	for _, k := range keys {
		if k.Fingerprint != greeted.Fingerprint && !k.Created.Before(greeted.Told) {
			newer = append(newer, k)
		}
	}
	return newer
}

// noteUse writes at most once a day, and when there was something to tell.
func (c *Cloud) noteUse(ctx context.Context, greeted Key, now time.Time, news []Key) error {
	today := now.Truncate(24 * time.Hour)
	if len(news) == 0 && greeted.Used.Equal(today) {
		return nil
	}
	return c.Store.Update(ctx, func(tx Tx) error {
		k, err := tx.Key(greeted.Fingerprint)
		if KindOf(err) == NotFound { // removed meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		k.Used = today
		if k.Told.Equal(greeted.Told) { // else a key came meanwhile: see putKey
			k.Told = toldUpTo(k, now, news)
		}
		return tx.PutKey(k)
	})
}

// toldUpTo is when a key knows of the others. It only goes on: what came while the clock was ahead is told once, not until then.
func toldUpTo(k Key, now time.Time, news []Key) time.Time {
	upTo := latest(k.Told, now)
	for _, n := range news {
		upTo = latest(upTo, n.Created.Add(1))
	}
	return upTo
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (c *Cloud) expiryWarning(a Account) []string {
	end := c.expiry(a)
	if left := end.Sub(c.surely()); end.IsZero() || left > min(warnAhead, c.Rules.MaxAge/4) {
		return nil
	}
	return []string{
		fmt.Sprintf("nuage: your keys expire on %s, because your last school login was on %s", end.Format(time.DateTime), a.School.At.Format(time.DateOnly)),
		"hint: log in there once more, for all keys: " + c.Door.Enrol(),
	}
}

func (c *Cloud) newKeys(keys []Key) (lines []string) {
	for i, k := range keys {
		if i == maxNews {
			lines = append(lines, fmt.Sprintf("nuage: and %d more", len(keys)-i))
			break
		}
		lines = append(lines, fmt.Sprintf("nuage: your account got the key %s on %s, %s", k.Fingerprint, k.Created.Format(time.DateTime), k.Origin))
	}
	if len(lines) > 0 {
		lines = append(lines, "hint: if that was not you, shut it out: "+c.Door.SSH("key remove FINGERPRINT"))
	}
	return lines
}
