package builtin

import (
	"runtime"
	"time"
)

// limits bound what one client or one site can make us keep. There is no limit on the length in time of a body: an upload
// over a slow line may take a day, as long as it moves. How many may do so is bounded.
type limits struct {
	header         int           // bytes of a request's header; in short lines each takes ten in memory
	responseHeader int64         // bytes of a container's response header, and lineCost for each line
	readHeader     time.Duration // for a TLS handshake, and for a request's header
	keepAlive      time.Duration // between two requests of a connection
	silence        time.Duration // without a byte moving, in a body or before the answer of a container
	linger         time.Duration // for the rest of an upload that was answered before its end
	drain          time.Duration // for requests under way, once the gateway is told to stop
	dial           time.Duration // to connect to a container on this host
	wakePage       time.Duration // a browser waits for a site to wake; then it gets a page that asks again
	wake           time.Duration // other programs wait for it
	wakes          int           // sites that one client wakes in a minute
	stirs          int           // sites at rest whose PHP begins at once
	stirLimit      time.Duration // for its first answer; then the next may begin
	rests          time.Duration // without a request; less than the minute after which the standard image ends PHP
	containerIdle  time.Duration // of a kept connection; less than the 5 s after which Apache closes it
	containerKept  int           // idle connections kept for each container
	homeKept       time.Duration // open, for the requests that come meanwhile
	body           int64         // bytes of a request's body
	perClient      int           // requests of one address at once; WebSockets count as long as they are open
	perSite        int           // requests for one site at once
	perAddress     int           // connections of one address; a school may be one
	connections    int           // of all; less where the process may not open so many files
}

var defaults = limits{
	header:         32 << 10,
	responseHeader: 256 << 10,
	readHeader:     10 * time.Second,
	keepAlive:      2 * time.Minute,
	silence:        5 * time.Minute,
	linger:         5 * time.Second,
	drain:          10 * time.Second,
	dial:           5 * time.Second,
	wakePage:       time.Second,
	wake:           25 * time.Second,
	wakes:          DefaultWakes,
	stirs:          2 * runtime.NumCPU(),
	stirLimit:      3 * time.Second,
	rests:          50 * time.Second,
	containerIdle:  3 * time.Second,
	containerKept:  64,
	homeKept:       time.Second,
	body:           DefaultBody,
	perClient:      DefaultPerClient,
	perSite:        DefaultPerSite,
	perAddress:     1024,
	connections:    16384,
}

// The Limits of a proxy that sets none.
const (
	DefaultBody      = 2 << 30 // bytes of a request's body
	DefaultPerClient = 256     // requests of one address at once
	DefaultPerSite   = 512     // requests for one site at once
	DefaultWakes     = 30      // sites that one client wakes in a minute
)

const (
	// Pieces of an answer whose length is known may be joined for so long; of any other each goes out at once. With none
	// at all ReverseProxy sends the header by itself, from another goroutine.
	flushAfter       = 2 * time.Millisecond
	bufferSize       = 32 << 10  // bytes of a copy between client and container
	sendSize         = 256 << 10 // bytes of a file given to the kernel at once; each has limits.silence to go out
	pourLeast        = 64 << 10  // bytes of a container's answer that the kernel moves
	cacheSize        = 64 << 20  // bytes of small files kept in memory, of all sites
	keptSize         = 64 << 10  // bytes of a file that is kept
	keptText         = 1 << 20   // bytes of one that is worth compressing; what is larger is compressed by its owner, or not
	leastGzip        = 512       // bytes of a file that we compress
	youngFile        = 2 * time.Second
	maintenanceRetry = 600  // seconds, said of a site that is being worked on
	retryAfter       = 30   // seconds, said of a site that is stopped
	interruptedRetry = 5    // seconds, said of one that was while it was asked
	askedAgain       = 5    // times that a request is sent again because somebody stops its site each time
	maxLeaves        = 4096 // certificates kept in memory
)

// with puts in what a config sets.
func (l limits) with(c Limits) limits {
	if c.Body > 0 {
		l.body = c.Body
	}
	if c.PerClient > 0 {
		l.perClient = c.PerClient
	}
	if c.Wakes > 0 {
		l.wakes = c.Wakes
	}
	if c.PerSite > 0 {
		l.perSite = c.PerSite
	}
	return l
}
