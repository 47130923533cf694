package builtin

import (
	"net"
	"net/http"
	"time"

	"plil.net/nuage/cloud"
)

// Bytes that a hit keeps of what a visitor made up.
const (
	maxPath   = 2048
	maxHeader = 512
	maxMethod = 32
)

// clientGone is the status of a request whose visitor left before the answer began. nginx made it up.
const clientGone = 499

// note tells the access log of the site what was asked and answered. It sees an answer that panics too.
func (p *Proxy) note(x *exchange, began time.Time) {
	if p.hits == nil || x.site == "" {
		return
	}
	r, status := x.request, x.status
	if status == 0 {
		status = clientGone
	}
	p.hits.Note(x.site, cloud.Hit{
		Time: began.UTC(), ID: x.id, Client: client(r), Method: cut(r.Method, maxMethod), Host: cut(r.Host, maxHeader),
		Path: cut(r.RequestURI, maxPath), Proto: r.Proto, TLS: r.TLS != nil, Status: status, Bytes: x.sent,
		Millis:  float64(p.now().Sub(began).Microseconds()) / 1000,
		Referer: cut(r.Referer(), maxHeader), Agent: cut(r.UserAgent(), maxHeader),
	})
}

// client is the visitor's address, without port.
func client(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
