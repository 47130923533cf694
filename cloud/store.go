package cloud

import (
	"context"
	"io"
)

// Store keeps accounts, keys, sites, domains and events. storetest holds what every store must do.
//
// View and Update run fn in one transaction: it sees one state of all records, and what it puts is kept
// whole once Update has returned nil (on disk, synced), or not at all. Update runs one fn at a time. fn
// must not call View or Update and must not keep tx. An error of fn is returned as it is.
type Store interface {
	View(ctx context.Context, fn func(Tx) error) error
	Update(ctx context.Context, fn func(Tx) error) error

	// Backup writes a consistent snapshot of the whole store to w while others read and write. A store
	// that lives in memory returns Unavailable.
	Backup(ctx context.Context, w io.Writer) error

	Close() error
}

// Tx is one transaction. Getters return NotFound for what is not there; lists are sorted by name
// (accounts, sites), by creation (keys) or by Seq (events). In a View the verbs that change return an
// Internal error. Deleting what is not there is no error. What goes in and what comes out are copies.
type Tx interface {
	Account(name string) (Account, error)
	Accounts() ([]Account, error)
	PutAccount(Account) error
	DeleteAccount(name string) error

	Key(fingerprint string) (Key, error)
	Keys(account string) ([]Key, error) // of all accounts if ""
	PutKey(Key) error
	DeleteKey(fingerprint string) error

	Site(id string) (Site, error)
	SiteByName(name string) (Site, error)
	Sites() ([]Site, error)
	// PutSite returns Conflict if another site has its name.
	PutSite(Site) error
	DeleteSite(id string) error

	Domain(host, site string) (Domain, error) // site is its id
	Domains() ([]Domain, error)               // sorted by host
	// PutDomain returns Conflict if it is proved and so is another site's of the same host.
	PutDomain(Domain) error
	DeleteDomain(host, site string) error

	// Append stores an event and gives it its Seq.
	Append(Event) (Event, error)
	// Events calls fn for each event that f picks, oldest first, until fn returns false. fn changes nothing
	// in the store.
	Events(f EventFilter, fn func(Event) bool) error

	// DropEvents removes the events up to and with seq.
	DropEvents(seq uint64) error

	// TrimEvents removes the oldest events of each Shelf that has more than most of them.
	TrimEvents(most int) error

	// Next counts up: each call of a name in a committed transaction returns one more than the last, the
	// first time 1. Numbers of a transaction that failed may come again.
	Next(counter string) (uint64, error)
}
