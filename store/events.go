package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"iter"
	"math"
	"slices"
	"strings"

	"plil.net/nuage/cloud"
)

// stampSize is the size of the Unix time, in seconds, that stands before the JSON of an event: what is too
// old for a filter is passed over without being decoded. Clocks get set back, so events are not sorted by
// time and each has to be looked at.
const stampSize = 8

// sequence is the counter of events, in meta. It outlives the events.
const sequence = "events"

// kept begins the names of the counters in meta of how many events each shelf has.
const kept = "kept "

func shelf(a cloud.Action) string {
	switch a.Shelf() {
	case cloud.Uses:
		return uses
	case cloud.Transfers:
		return moves
	}
	return events
}

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
	on := shelf(e.Action)
	if _, err := t.count(meta, kept+on); err != nil {
		return cloud.Event{}, err
	}
	return e, t.write(on, order(e.Seq), append(value, text...))
}

func (t tx) Events(f cloud.EventFilter, fn func(cloud.Event) bool) (err error) {
	if f.After == math.MaxUint64 {
		return nil
	}
	may := sieve(f)
	t.inOrder(order(f.After+1), may, func(on, key string, sealed []byte) bool {
		var e cloud.Event
		if e, err = decodeEvent(on, key, sealed); err != nil {
			return false
		}
		return !f.Match(e) || fn(e)
	})
	return err
}

// inOrder goes through the events of all shelves as one list, from a key on.
func (t tx) inOrder(from string, may func(sealed []byte) bool, fn func(on, key string, sealed []byte) bool) {
	var heads []*head
	for _, on := range shelves() {
		next, stop := iter.Pull2(func(yield func(string, []byte) bool) {
			t.each(on, from, func(key string, sealed []byte) bool { return !may(sealed) || yield(key, sealed) })
		})
		defer stop()
		h := &head{on: on, next: next}
		if h.step() {
			heads = append(heads, h)
		}
	}
	for len(heads) > 0 {
		first := slices.MinFunc(heads, func(a, b *head) int { return strings.Compare(a.key, b.key) })
		if !fn(first.on, first.key, first.sealed) {
			return
		}
		if !first.step() {
			heads = slices.DeleteFunc(heads, func(h *head) bool { return h == first })
		}
	}
}

// head is the next event of a shelf.
type head struct {
	on, key string
	sealed  []byte
	next    func() (string, []byte, bool)
}

func (h *head) step() (ok bool) {
	h.key, h.sealed, ok = h.next()
	return ok
}

func (t tx) DropEvents(seq uint64) error {
	for _, on := range shelves() {
		var old []string
		t.each(on, "", func(key string, _ []byte) bool {
			if key > order(seq) {
				return false
			}
			old = append(old, key)
			return true
		})
		if err := t.unshelve(on, old); err != nil {
			return err
		}
	}
	return nil
}

func (t tx) TrimEvents(most int) error {
	for _, on := range shelves() {
		var has uint64
		if err := t.load(meta, kept+on, &has, "counter"); err != nil && cloud.KindOf(err) != cloud.NotFound {
			return err
		}
		if has <= uint64(most) {
			continue
		}
		var old []string
		t.each(on, "", func(key string, _ []byte) bool {
			old = append(old, key)
			return uint64(len(old)) < has-uint64(most)
		})
		if err := t.unshelve(on, old); err != nil {
			return err
		}
	}
	return nil
}

// unshelve removes events and counts what is left.
func (t tx) unshelve(on string, old []string) error {
	if len(old) == 0 {
		return nil
	}
	for _, key := range old {
		if err := t.drop(on, key); err != nil {
			return err
		}
	}
	var has uint64
	if err := t.load(meta, kept+on, &has, "counter"); err != nil {
		return err
	}
	return t.save(meta, kept+on, has-min(has, uint64(len(old))))
}

// countEvents is the step to schema 4: what there is stays on the first shelf.
func countEvents(r rows) error {
	has := uint64(0)
	r.each(events, "", func(string, []byte) bool { has++; return true })
	return tx{rows: r, known: &known{}, writable: true}.save(meta, kept+events, has)
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

func decodeEvent(on, key string, sealed []byte) (e cloud.Event, err error) {
	value, err := unseal(on, key, sealed)
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
