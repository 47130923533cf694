package store

import (
	"cmp"
	"context"
	"io"
	"maps"
	"slices"
	"sync"

	"plil.net/nuage/cloud"
)

// Memory is a store for tests: it does what Bolt does but for keeping anything.
type Memory struct {
	turn  chan struct{} // full while an Update runs
	known known

	mu     sync.Mutex
	state  map[string]sorted // what is committed; never changed, only replaced
	closed bool
}

var _ cloud.Store = (*Memory)(nil)

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{turn: make(chan struct{}, 1), state: map[string]sorted{}}
}

// View implements cloud.Store.
func (m *Memory) View(ctx context.Context, fn func(cloud.Tx) error) error {
	state, err := m.now(ctx)
	if err != nil {
		return err
	}
	return fn(tx{rows: memoryRows(state), known: &m.known})
}

// Update implements cloud.Store. fn works on a copy, which becomes the state if fn succeeds.
func (m *Memory) Update(ctx context.Context, fn func(cloud.Tx) error) error {
	if err := take(ctx, m.turn); err != nil {
		return err
	}
	defer func() { <-m.turn }()
	state, err := m.now(ctx)
	if err != nil {
		return err
	}
	draft := maps.Clone(state)
	if err := fn(tx{rows: memoryRows(draft), known: &m.known, writable: true}); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = draft
	return nil
}

// Backup implements cloud.Store: Unavailable.
func (m *Memory) Backup(context.Context, io.Writer) error {
	return cloud.Errorf(cloud.Unavailable, "a store in memory has no backup")
}

// Close implements cloud.Store. It waits for an Update that runs.
func (m *Memory) Close() error {
	m.turn <- struct{}{}
	defer func() { <-m.turn }()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

func (m *Memory) now(ctx context.Context) (map[string]sorted, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, closed()
	}
	return m.state, nil
}

// sorted is a bucket, sorted by key. Its elements never change: put and remove make a new one. Only a put
// at the end may share its array with the bucket before it, whose length does not reach so far.
type sorted []row

type row struct {
	key   string
	value []byte
}

func (s sorted) find(key string) (int, bool) {
	return slices.BinarySearchFunc(s, key, func(r row, key string) int { return cmp.Compare(r.key, key) })
}

type memoryRows map[string]sorted

func (m memoryRows) get(bucket, key string) []byte {
	s := m[bucket]
	if i, ok := s.find(key); ok {
		return s[i].value
	}
	return nil
}

func (m memoryRows) put(bucket, key string, value []byte) error {
	s, r := m[bucket], row{key, value}
	i, ok := s.find(key)
	switch {
	case ok:
		s = slices.Clone(s)
		s[i] = r
	case i == len(s):
		s = append(s, r)
	default:
		s = slices.Insert(slices.Clone(s), i, r)
	}
	m[bucket] = s
	return nil
}

func (m memoryRows) remove(bucket, key string) error {
	s := m[bucket]
	if i, ok := s.find(key); ok {
		m[bucket] = slices.Delete(slices.Clone(s), i, i+1)
	}
	return nil
}

func (m memoryRows) each(bucket, from string, fn func(key string, value []byte) bool) {
	s := m[bucket]
	for i, _ := s.find(from); i < len(s); i++ {
		if !fn(s[i].key, s[i].value) {
			return
		}
	}
}
