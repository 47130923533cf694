package store

import (
	"bytes"
	"slices"
	"sync"

	"plil.net/nuage/cloud"
)

// known are the records that are read again and again, as they were last decoded: each change of a site reads all of
// them for the route table.
type known struct {
	sites    memo[cloud.Site]
	accounts memo[cloud.Account]
	ids      memo[string] // of the sites' names
}

// memo keeps what rows of one bucket held, with the very bytes that said so: the same bytes are not unsealed and decoded
// again. What is in the file decides, so it cannot be out of date. The zero value is ready.
type memo[T any] struct {
	mu   sync.Mutex
	rows map[string]*decoded[T]
}

type decoded[T any] struct {
	sealed []byte
	record T // never changed, and shares memory with no other
}

func (m *memo[T]) decode(bucket, key string, sealed []byte) (*T, error) {
	m.mu.Lock()
	d := m.rows[key]
	m.mu.Unlock()
	if d != nil && bytes.Equal(d.sealed, sealed) {
		return &d.record, nil
	}
	d = &decoded[T]{sealed: bytes.Clone(sealed)}
	if err := decode(bucket, key, sealed, &d.record); err != nil {
		return &d.record, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rows == nil {
		m.rows = map[string]*decoded[T]{}
	}
	m.rows[key] = d
	return &d.record, nil
}

// forget makes room. A row that is deleted in a transaction that fails is decoded anew.
func (m *memo[T]) forget(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.rows, key)
}

func (m *memo[T]) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.rows)
}

func (k *known) site(key string, sealed []byte) (cloud.Site, error) {
	kept, err := k.sites.decode(sites, key, sealed)
	s := *kept
	s.Members, s.Idle = slices.Clone(s.Members), copied(s.Idle)
	return s, err
}

func (k *known) account(key string, sealed []byte) (cloud.Account, error) {
	kept, err := k.accounts.decode(accounts, key, sealed)
	a := *kept
	a.School = copied(a.School)
	x := &a.Exceptions
	x.MaxSites, x.Memory, x.CPUs, x.Disk, x.Idle = copied(x.MaxSites), copied(x.Memory), copied(x.CPUs), copied(x.Disk), copied(x.Idle)
	return a, err
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
