package proxygen

import (
	"time"

	"plil.net/nuage/cloud"
)

// Bytes that a hit keeps of what a visitor made up.
const (
	maxPath   = 2048
	maxHeader = 512
	maxMethod = 32
)

// Hits is told each request that a proxy outside has taken straight to a site. It must not block.
type Hits interface {
	Note(siteID string, h cloud.Hit)
}

// Told is a hit as another program told of it when the answer had ended, in seconds; what a visitor made up is cut.
func Told(h cloud.Hit, ended, took float64) cloud.Hit {
	h.Millis = took * 1000
	h.Time = time.UnixMicro(int64((ended - took) * 1e6)).UTC()
	h.Method, h.Host, h.Path = cut(h.Method, maxMethod), cut(h.Host, maxHeader), cut(h.Path, maxPath)
	h.Referer, h.Agent = cut(h.Referer, maxHeader), cut(h.Agent, maxHeader)
	return h
}

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
