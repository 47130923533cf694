// Package store keeps the records of cloud: Bolt in one bbolt file, synced at each change and read through
// from end to end before it is trusted; Memory for tests. Both share all that is known of records and differ
// in how they keep rows of bytes. A store knows nothing of rights and changes no record by itself.
package store

import (
	"context"
	"errors"
	"io"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"plil.net/nuage/cloud"
)

// lockWait is how long Open and Restore wait for another process to let go of the file.
const lockWait = 500 * time.Millisecond

// mapped is the address space taken for the file. bbolt has to stop all readers in order to map a file anew
// that has outgrown its mapping: a backup to somebody with a slow line would block the gateway for as long
// as it takes. What is mapped but not there takes no memory.
const mapped = 1 << 30

// Options of Open; the zero value is what a gateway uses.
type Options struct {
	LockWait time.Duration // half a second if zero
}

// Bolt is a store in a bbolt file.
type Bolt struct {
	db    *bbolt.DB
	path  string
	turn  chan struct{} // full while an Update runs
	known known
}

var _ cloud.Store = (*Bolt)(nil)

// Open opens the store at path and makes it if there is none; its directory must be there. Unavailable if
// another process has it open, Invalid if it is damaged or was written by a newer nuage. A store of an older
// nuage is brought up to date.
func Open(path string, o Options) (*Bolt, error) { return open(path, o, today()) }

func open(path string, o Options, s schema) (*Bolt, error) {
	if o.LockWait == 0 {
		o.LockWait = lockWait
	}
	f, err := lockOrCreate(path, o.LockWait, s)
	if err != nil {
		return nil, err
	}
	found, err := survey(f, s, false)
	if err != nil {
		f.Close()
		return nil, refusal(path, err)
	}
	db, err := mapFile(f)
	if err != nil {
		return nil, damaged(path, err)
	}
	b := &Bolt{db: db, path: path, turn: make(chan struct{}, 1)}
	if err := s.migrate(b, found); err != nil {
		db.Close()
		return nil, err
	}
	return b, nil
}

// View implements cloud.Store.
func (b *Bolt) View(ctx context.Context, fn func(cloud.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var said error
	err := b.db.View(func(t *bbolt.Tx) error {
		said = fn(tx{rows: boltRows{t}, known: &b.known})
		return said
	})
	return b.outcome(said, err)
}

// Update implements cloud.Store. A ctx that ends while others have their turn ends the wait.
func (b *Bolt) Update(ctx context.Context, fn func(cloud.Tx) error) error {
	return b.update(ctx, func(r boltRows) error { return fn(tx{rows: r, known: &b.known, writable: true}) })
}

func (b *Bolt) update(ctx context.Context, fn func(boltRows) error) error {
	if err := take(ctx, b.turn); err != nil {
		return err
	}
	defer func() { <-b.turn }()
	var said error
	err := b.db.Update(func(t *bbolt.Tx) error {
		said = fn(boltRows{t})
		return said
	})
	return b.outcome(said, err)
}

// Backup implements cloud.Store. It returns errors of w as they are.
func (b *Bolt) Backup(ctx context.Context, w io.Writer) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	out := &untilDone{ctx: ctx, w: w}
	err := b.db.View(func(t *bbolt.Tx) error {
		_, err := t.WriteTo(out)
		return err
	})
	return b.outcome(out.err, err)
}

// Close implements cloud.Store. It waits for transactions that run.
func (b *Bolt) Close() error { return b.db.Close() }

// outcome chooses between what fn said, which goes back as it is, and what bbolt said.
func (b *Bolt) outcome(said, err error) error {
	switch {
	case said != nil:
		return said
	case err == nil:
		return nil
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return closed().Because(err)
	}
	return unkept(b.path, err)
}

// take takes the turn to update, unless ctx ends first.
func take(ctx context.Context, turn chan struct{}) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// untilDone writes until its context ends, and keeps the error that bbolt would wrap without a chain.
type untilDone struct {
	ctx context.Context
	w   io.Writer
	err error
}

func (u *untilDone) Write(p []byte) (int, error) {
	if u.err = u.ctx.Err(); u.err != nil {
		return 0, u.err
	}
	n, err := u.w.Write(p)
	u.err = err
	return n, err
}
