package cloud

import (
	"context"
	"time"
)

// Hit is one request for a site and how it was answered: a line of the site's access log. Its strings are a
// visitor's bytes, cut to bounded lengths. A Hit with Dropped stands for that many which the log could not keep.
type Hit struct {
	Time    time.Time `json:"time"` // when the request arrived
	ID      string    `json:"id"`   // the X-Request-Id that the visitor and the container were told
	Client  string    `json:"client"`
	Method  string    `json:"method"`
	Host    string    `json:"host"`
	Path    string    `json:"path"` // with its query, as it was sent
	Proto   string    `json:"proto"`
	TLS     bool      `json:"tls"`
	Status  int       `json:"status"` // 499: the visitor left before the answer began, as nginx says it
	Bytes   int64     `json:"bytes"`  // of the answer's body
	Millis  float64   `json:"ms"`     // until the answer had ended
	Referer string    `json:"referer,omitempty"`
	Agent   string    `json:"agent,omitempty"`
	Dropped int64     `json:"dropped,omitempty"`
}

// HitFilter picks hits.
type HitFilter struct {
	Since  time.Time
	Tail   int // only the last of the log; all if negative
	Follow bool
}

// Hits keeps the access logs of sites. They outlive containers and go with the site's directory.
type Hits interface {
	// Read calls fn for each hit, oldest first, until fn fails; with Follow it goes on with new ones until ctx
	// ends (which is no error) or the site is gone. A site nobody has asked for has no hits.
	Read(ctx context.Context, siteID string, f HitFilter, fn func(Hit) error) error
	// Forget lets go of a site whose directory was removed: whoever follows it comes to the end.
	Forget(siteID string)
	// Dropped counts the hits since the start that no log could keep.
	Dropped() int64
}

// AccessLog calls fn for each request for a site; see [Hits.Read].
func (c *Cloud) AccessLog(ctx context.Context, who Who, name string, f HitFilter, fn func(Hit) error) error {
	return c.doSite(ctx, who, SiteLogs, name, func(_ Account, s Site) error {
		return c.during(ctx, who, SiteLogs, s, func(ctx context.Context) error { return c.Hits.Read(ctx, s.ID, f, fn) })
	})
}

// noHits is where no access log is kept.
type noHits struct{}

func (noHits) Read(context.Context, string, HitFilter, func(Hit) error) error {
	return Errorf(Unavailable, "no access log is kept here").WithHint("ask your admin")
}
func (noHits) Forget(string)  {}
func (noHits) Dropped() int64 { return 0 }
