package caddy

import (
	"context"
	"encoding/json"
	"strings"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen"
)

const loggers = "http.log.access" // with the site's id behind it, as our config has it

// logging has Caddy tell of what it takes straight to containers, and of nothing else, in one file.
func (o Options) logging() object {
	return object{"logs": object{
		"default": object{"exclude": []string{loggers}},
		"nuage": object{
			"writer": object{"output": "file", "filename": o.Hits, "roll": false},
			"encoder": object{"format": "filter", "wrap": object{"format": "json"}, "fields": object{
				"request>headers>Cookie":  object{"filter": "delete"},
				"request>tls>client_cert": object{"filter": "delete"},
			}},
			"include": []string{loggers},
		},
	}}
}

// line is what that file has for a request.
type line struct {
	Logger  string
	TS      float64 // when it ended
	Request struct {
		RemoteIP string `json:"remote_ip"`
		Proto    string
		Method   string
		Host     string
		URI      string
		Headers  map[string][]string
		TLS      *struct{}
	}
	Duration float64
	Size     int64
	Status   int
	Answer   map[string][]string `json:"resp_headers"`
}

func parse(text []byte) (siteID string, h cloud.Hit, ok bool) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return "", h, false
	}
	siteID, ok = strings.CutPrefix(l.Logger, loggers+".")
	first := func(name string) string { return strings.Join(l.Request.Headers[name], ", ") }
	ids := strings.Join(l.Answer[requestID], ", ")
	h = cloud.Hit{
		ID: ids, Client: l.Request.RemoteIP, Method: l.Request.Method, Host: l.Request.Host, Path: l.Request.URI, Proto: l.Request.Proto,
		TLS: l.Request.TLS != nil, Status: l.Status, Bytes: l.Size, Referer: first("Referer"), Agent: first("User-Agent"),
	}
	return siteID, proxygen.Told(h, l.TS, l.Duration), ok
}

// Follow passes on what Caddy tells of the requests that it takes straight to containers, until ctx ends.
func (p *Publisher) Follow(ctx context.Context, hits proxygen.Hits) {
	if p.Hits == "" {
		return
	}
	t := proxygen.Tail{File: p.Hits, Log: p.Log, Take: func(text []byte) {
		if site, h, ok := parse(text); ok {
			hits.Note(site, h)
		}
	}}
	t.Run(ctx)
}
