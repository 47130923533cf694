package cloud

import (
	"net/netip"
	"slices"
	"time"
)

// Type is how a site is served.
type Type string

// The types.
const (
	PHP    Type = "php"    // by a container of the standard image
	Static Type = "static" // by the gateway itself, from the home
)

// State is where a site is in its life.
type State string

// The states. Creating and Deleting are passages: a gateway that finds them at its start undoes the one
// and finishes the other.
const (
	Creating State = "creating"
	Running  State = "running"
	Stopped  State = "stopped"
	Asleep   State = "asleep" // stopped for want of use: whoever asks for it wakes it
	Failed   State = "failed" // should run but cannot; Reason says why
	Deleting State = "deleting"
)

// WebPort is where a site's web server listens in its container.
const WebPort = 8080

// DocumentRoot is what is on the web, relative to the home, unless "site set root=" says otherwise.
const DocumentRoot = "www"

// HomePath is the home as seen in the container and over SFTP in the site view.
const HomePath = "/home/site"

// Hostname is what every container calls itself: the engine's DNS would tell the neighbours of any other.
const Hostname = "site"

// Site is a name on the web with a home directory. ID never changes and is never used again.
type Site struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"` // full name, lower case
	Owner       string         `json:"owner"`
	Members     []string       `json:"members"`
	Type        Type           `json:"type"`
	State       State          `json:"state"`
	Reason      string         `json:"reason,omitempty"` // of Failed
	Full        bool           `json:"full,omitempty"`   // it has outgrown its disk limit: its container may not write
	Idle        *time.Duration `json:"idle,omitempty"`   // its own, nil: its owner's limit
	Image       string         `json:"image,omitempty"`  // a name of the config's, "" for the engine's standard image
	Held        *Held          `json:"held,omitempty"`   // nil: its container has the image that it should have, or will at its next wake
	Root        string         `json:"root"`             // document root, relative to the home
	Group       string         `json:"group"`            // whose network Address is in
	Address     netip.Addr     `json:"address"`          // zero for a static site
	UID         int            `json:"uid"`              // and gid: who the files belong to
	Created     time.Time      `json:"created"`
	HTTPS       string         `json:"https,omitempty"`       // "" or ForceHTTPS
	Maintenance bool           `json:"maintenance,omitempty"` // visitors are told to come back
	Password    string         `json:"password,omitempty"`    // bcrypt; visitors need it, "" for none
	Main        string         `json:"main,omitempty"`        // the host that the site's others redirect to, "" for none
}

// ForceHTTPS sends visitors who come by HTTP to HTTPS.
const ForceHTTPS = "force"

// Settled reports whether the site is in no passage: it can be used and changed.
func (s Site) Settled() bool { return s.State != Creating && s.State != Deleting }

// shallRun reports whether the site's container is meant to run.
func (s Site) shallRun() bool { return s.State == Running || s.State == Failed }

// Endpoint is where the site's own web server listens. Only PHP sites have one.
func (s Site) Endpoint() netip.AddrPort { return netip.AddrPortFrom(s.Address, WebPort) }

// UsableBy reports whether the account owns the site or is a member of it.
func (s Site) UsableBy(account string) bool {
	return s.Owner == account || slices.Contains(s.Members, account)
}
