package store

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"

	"plil.net/nuage/cloud"
)

// findings are what a survey of a file has seen.
type findings struct {
	deep    bool // look into events too, which are many
	buckets []string
	version uint64 // 0 if there is none
	bad     error  // the first row that is damaged

	names, sites map[string]string // name to id, id to name
}

// survey reads a whole file without mapping it. Each page and each checksum has to be right, the file has to
// be a store that the schema knows, records have to decode (of events their checksum says enough, unless
// deep), and names and sites have to match. It returns the version of the store's schema.
func survey(f *os.File, s schema, deep bool) (uint64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("it is not a file")
	}
	if info.Size() == 0 {
		return 0, fmt.Errorf("it is empty")
	}
	found := &findings{deep: deep, names: map[string]string{}, sites: map[string]string{}}
	if err := inspect(f, info.Size(), found); err != nil {
		return 0, err
	}
	return found.version, found.judge(s)
}

func (f *findings) bucket(name string) { f.buckets = append(f.buckets, name) }

func (f *findings) row(bucket string, key, sealed []byte) {
	value, err := unseal(bucket, string(key), sealed)
	if err == nil && bucket == meta && string(key) == schemaKey {
		err = json.Unmarshal(value, &f.version)
	}
	if err == nil && (f.deep || !slices.Contains(shelves(), bucket)) {
		err = f.look(bucket, string(key), value, sealed)
	}
	if err != nil && f.bad == nil {
		f.bad = fmt.Errorf("record %q of %s: %w", key, bucket, err)
	}
}

func (f *findings) look(bucket, key string, value, sealed []byte) (err error) {
	switch bucket {
	case accounts:
		var a cloud.Account
		return expect(json.Unmarshal(value, &a), a.Name, key)
	case keys:
		var k cloud.Key
		return expect(json.Unmarshal(value, &k), k.Fingerprint, key)
	case sites:
		var s cloud.Site
		err = expect(json.Unmarshal(value, &s), s.ID, key)
		f.sites[key] = s.Name
	case names:
		var id string
		err = json.Unmarshal(value, &id)
		f.names[key] = id
	case domains:
		var d cloud.Domain
		return expect(json.Unmarshal(value, &d), domainKey(d.Host, d.Site), key)
	case events, uses, moves:
		e, err := decodeEvent(bucket, key, sealed)
		return expect(err, order(e.Seq), key)
	case counters, meta:
		var n uint64
		err = json.Unmarshal(value, &n)
	}
	return err
}

// judge comes to the version first: a newer store may well look wrong to an older program.
func (f *findings) judge(s schema) error {
	switch {
	case f.version > s.version:
		return &newer{found: f.version, known: s.version}
	case f.bad != nil:
		return f.bad
	case f.version == 0:
		return fmt.Errorf("it was not made by nuage")
	case f.version < s.version:
		return nil // migrations know what it looks like
	}
	for _, b := range buckets() {
		if !slices.Contains(f.buckets, b) {
			return fmt.Errorf("it has no %s", b)
		}
	}
	if !maps.Equal(f.names, invert(f.sites)) {
		return fmt.Errorf("the names of sites and the sites do not match")
	}
	return nil
}

func expect(err error, got, want string) error {
	if err == nil && got != want {
		return fmt.Errorf("it is about %q", got)
	}
	return err
}

func invert(m map[string]string) map[string]string {
	inverse := make(map[string]string, len(m))
	for k, v := range m {
		inverse[v] = k
	}
	return inverse
}
