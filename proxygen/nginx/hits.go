package nginx

import (
	"context"
	"encoding/json"
	"strconv"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen"
)

// line is what the file of Hits has for a request: the log_format of our file.
type line struct {
	Site    string  `json:"site"`
	Ended   float64 `json:"ended"`
	Took    float64 `json:"took"`
	Status  string  `json:"status"` // "009" for a container's HTTP/0.9
	Bytes   int64   `json:"bytes"`
	ID      string  `json:"id"`
	Client  string  `json:"client"`
	Method  string  `json:"method"`
	Host    string  `json:"host"`
	Path    string  `json:"path"`
	Proto   string  `json:"proto"`
	TLS     string  `json:"tls"`
	Referer string  `json:"referer"`
	Agent   string  `json:"agent"`
}

func parse(text []byte) (siteID string, h cloud.Hit, ok bool) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil || l.Site == "" {
		return "", h, false
	}
	h = cloud.Hit{
		ID: l.ID, Client: l.Client, Method: l.Method, Host: l.Host, Path: l.Path, Proto: l.Proto, TLS: l.TLS == "on",
		Bytes: l.Bytes, Referer: l.Referer, Agent: l.Agent,
	}
	h.Status, _ = strconv.Atoi(l.Status)
	return l.Site, proxygen.Told(h, l.Ended, l.Took), true
}

func (p *Publisher) tail(take func(text []byte)) *proxygen.Tail {
	return &proxygen.Tail{File: p.Hits, Log: p.Log, Take: take}
}

// makeHits makes the file before nginx does, which would let everybody on the host read it.
func (p *Publisher) makeHits() error {
	if p.Hits == "" {
		return nil
	}
	return p.tail(nil).Make()
}

// Follow passes on what nginx tells of the requests that it takes straight to containers, until ctx ends.
func (p *Publisher) Follow(ctx context.Context, hits proxygen.Hits) {
	if p.Hits == "" {
		return
	}
	p.tail(func(text []byte) {
		if site, h, ok := parse(text); ok {
			hits.Note(site, h)
		}
	}).Run(ctx)
}
