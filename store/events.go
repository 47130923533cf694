package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"

	"plil.net/nuage/cloud"
)

// stampSize is the size of the Unix time, in seconds, that stands before the JSON of an event: what is too
// old for a filter is passed over without being decoded. Clocks get set back, so events are not sorted by
// time and each has to be looked at.
const stampSize = 8

// sequence is the counter of events, in meta. It outlives the events.
const sequence = "events"

func (t tx) Append(e cloud.Event) (cloud.Event, error) {
	var err error
	if e.Seq, err = t.count(meta, sequence); err != nil {
		return cloud.Event{}, err
	}
	text, err := json.Marshal(e)
	if err != nil {
		return cloud.Event{}, cloud.Errorf(cloud.Internal, "event %d cannot be kept", e.Seq).Because(err)
	}
	value := binary.BigEndian.AppendUint64(nil, uint64(e.Time.Unix()))
	return e, t.write(events, order(e.Seq), append(value, text...))
}

func (t tx) Events(f cloud.EventFilter, fn func(cloud.Event) bool) (err error) {
	if f.After == math.MaxUint64 {
		return nil
	}
	may := sieve(f)
	t.each(events, order(f.After+1), func(key string, sealed []byte) bool {
		if !may(sealed) {
			return true
		}
		var e cloud.Event
		if e, err = decodeEvent(key, sealed); err != nil {
			return false
		}
		return !f.Match(e) || fn(e)
	})
	return err
}

func (t tx) DropEvents(seq uint64) error {
	var old []string
	t.each(events, order(0), func(key string, _ []byte) bool {
		if key > order(seq) {
			return false
		}
		old = append(old, key)
		return true
	})
	for _, key := range old {
		if err := t.drop(events, key); err != nil {
			return err
		}
	}
	return nil
}

// sieve tells quickly of most events that the filter will not pick them. The same string always has the
// same JSON, so an event without that of the account or target is not about it.
func sieve(f cloud.EventFilter) func(sealed []byte) bool {
	var words [][]byte
	for _, s := range []string{f.Account, f.Target} {
		if word, err := json.Marshal(s); err == nil && s != "" {
			words = append(words, word)
		}
	}
	return func(sealed []byte) bool {
		if len(sealed) >= stampSize && int64(binary.BigEndian.Uint64(sealed)) < f.Since.Unix() {
			return false
		}
		for _, word := range words {
			if !bytes.Contains(sealed, word) {
				return false
			}
		}
		return true
	}
}

func decodeEvent(key string, sealed []byte) (e cloud.Event, err error) {
	value, err := unseal(events, key, sealed)
	if err == nil && len(value) < stampSize {
		err = errSeal
	}
	if err == nil {
		err = json.Unmarshal(value[stampSize:], &e)
	}
	if err != nil {
		return cloud.Event{}, cloud.Errorf(cloud.Internal, "event %x is damaged", key).Because(err)
	}
	return e, nil
}
