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
