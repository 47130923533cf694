package store

import (
	"encoding/binary"
	"slices"

	"go.etcd.io/bbolt"
)

// The buckets.
const (
	accounts = "accounts" // by name
	keys     = "keys"     // by fingerprint
	sites    = "sites"    // by id
	names    = "names"    // of sites: the id of each name
	domains  = "domains"  // by host and site
	events   = "events"   // of the shelf cloud.Deeds, by sequence; until schema 3 all of them
	uses     = "uses"     // those of cloud.Uses
	moves    = "moves"    // those of cloud.Transfers
	counters = "counters" // by name
	meta     = "meta"     // what the store knows of itself
)

func buckets() []string {
	return []string{accounts, keys, sites, names, domains, events, uses, moves, counters, meta}
}

// shelves are the buckets of events.
func shelves() []string { return []string{events, uses, moves} }

// rows is a transaction on buckets of bytes, sorted by key. Bytes that come out are good until the
// transaction ends, and bytes that go in are kept: neither may be changed.
type rows interface {
	get(bucket, key string) []byte // nil if there is none
	put(bucket, key string, value []byte) error
	remove(bucket, key string) error // nil if there is none
	// each goes through the rows whose key is not less than from, until fn returns false. fn changes none.
	each(bucket, from string, fn func(key string, value []byte) bool)
}

// order makes a key that sorts as the number does.
func order(n uint64) string {
	return string(binary.BigEndian.AppendUint64(nil, n))
}

type boltRows struct{ tx *bbolt.Tx }

// makeBuckets makes those that are missing.
func (r boltRows) makeBuckets() error {
	for _, b := range buckets() {
		if _, err := r.tx.CreateBucketIfNotExists([]byte(b)); err != nil {
			return err
		}
	}
	return nil
}

func (r boltRows) get(bucket, key string) []byte {
	return r.tx.Bucket([]byte(bucket)).Get([]byte(key))
}

func (r boltRows) put(bucket, key string, value []byte) error {
	b := r.tx.Bucket([]byte(bucket))
	if slices.Contains(shelves(), bucket) {
		b.FillPercent = 0.95 // they only ever come at the end: half-empty pages would stay so
	}
	return b.Put([]byte(key), value)
}

func (r boltRows) remove(bucket, key string) error {
	return r.tx.Bucket([]byte(bucket)).Delete([]byte(key))
}

func (r boltRows) each(bucket, from string, fn func(key string, value []byte) bool) {
	c := r.tx.Bucket([]byte(bucket)).Cursor()
	for k, v := c.Seek([]byte(from)); k != nil; k, v = c.Next() {
		if !fn(string(k), v) {
			return
		}
	}
}
