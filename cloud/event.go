package cloud

import "time"

// Event is one line of the audit: who did what to which target, and how it ended.
type Event struct {
	Seq     uint64    `json:"seq"` // rises by one with each event
	Time    time.Time `json:"time"`
	Account string    `json:"account"`
	As      string    `json:"as,omitempty"` // with whose eyes, where an admin looked with those of somebody else
	Key     string    `json:"key"`          // fingerprint
	Address string    `json:"address"`      // remote host:port
	Action  Action    `json:"action"`
	Target  string    `json:"target"`
	Result  string    `json:"result"` // "ok" or a Kind
	Detail  string    `json:"detail,omitempty"`
	Path    string    `json:"path,omitempty"`  // of a file, in the site that is the target
	Bytes   int64     `json:"bytes,omitempty"` // that came or went

	Certificate string `json:"certificate,omitempty"` // that the key came with: its id and serial

	// Bytes that came from the person and went there, of shells and transfers.
	Received int64 `json:"received,omitempty"`
	Sent     int64 `json:"sent,omitempty"`
}

// Shelf is where the audit keeps an event. Each has room of its own and loses its own oldest when it is full: a tree of
// small files that somebody uploads does not drive out who logged in.
type Shelf int

const (
	Deeds     Shelf = iota // logins, let in or refused, and what changes something or was to
	Uses                   // programs and forwards in sites, and what only looks
	Transfers              // files
)

// Shelf is that of the events of an action.
func (a Action) Shelf() Shelf {
	switch {
	case a == SiteFiles, a == FilePut, a == FileGet, a == FileRemove:
		return Transfers
	case a != Login && quiet[a]:
		return Uses
	}
	return Deeds
}

// EventFilter picks events; zero fields pick all.
type EventFilter struct {
	Account string // who did it, or with whose eyes
	Target  string
	Since   time.Time
	After   uint64 // only events with a greater Seq
}

// Match reports whether the filter picks e.
func (f EventFilter) Match(e Event) bool {
	return (f.Account == "" || e.Account == f.Account || e.As == f.Account) &&
		(f.Target == "" || e.Target == f.Target) &&
		!e.Time.Before(f.Since) &&
		e.Seq > f.After
}
