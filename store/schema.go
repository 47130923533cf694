package store

import (
	"context"

	"plil.net/nuage/cloud"
)

// schemaKey is where the version of the schema stands, in meta. Every nuage has to find it there and under
// the same seal, or it cannot tell a newer store from a damaged one.
const schemaKey = "schema"

// schema is a version of what the records look like and the way to it.
type schema struct {
	version uint64
	steps   map[uint64]func(rows) error // for each older version n, what makes it n+1
}

// today is the schema of this program. To change it: raise version, add the step from the one before, and
// never change a step that was released.
func today() schema {
	return schema{version: 4, steps: map[uint64]func(rows) error{
		1: func(rows) error { return nil }, // domains, whose bucket migrate has made
		2: func(rows) error { return nil }, // accounts may be bound to a school login: an older nuage would lose that
		3: countEvents,                     // events on shelves
	}}
}

// migrate brings a store up to date, whole or not at all.
func (s schema) migrate(b *Bolt, from uint64) error {
	if from == s.version {
		return nil
	}
	return b.update(context.Background(), func(r boltRows) error {
		if err := r.makeBuckets(); err != nil {
			return stuck(b.path, from, err)
		}
		for v := from; v < s.version; v++ {
			if err := s.steps[v](r); err != nil {
				return stuck(b.path, v, err)
			}
		}
		return s.stamp(r)
	})
}

func (s schema) stamp(r rows) error {
	return tx{rows: r, known: &known{}, writable: true}.save(meta, schemaKey, s.version)
}

func stuck(path string, version uint64, err error) *cloud.Error {
	return cloud.Errorf(cloud.Invalid, "the store %q could not be brought from schema %d to %d", path, version, version+1).
		WithHint("it is as it was; run the nuage that wrote it, and report this").Because(err)
}
