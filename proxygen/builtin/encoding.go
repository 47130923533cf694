package builtin

import (
	"net/http"
	"strconv"
	"strings"
)

// encodings are the codings of content that we give out, best first, with what the name of a file that holds one ends in.
var encodings = []struct{ name, suffix string }{{"br", ".br"}, {"zstd", ".zst"}, {"gzip", ".gz"}}

// compressible are the content types, without their parameters, that are worth it besides text.
var compressible = map[string]bool{
	"application/json": true, "application/ld+json": true, "application/geo+json": true, "application/manifest+json": true,
	"application/xhtml+xml": true, "application/rss+xml": true, "application/atom+xml": true, "application/dash+xml": true,
	"application/wasm": true, "application/yaml": true, "application/toml": true, "application/rtf": true,
	"application/vnd.apple.mpegurl": true, "application/vnd.ms-fontobject": true,
	"image/svg+xml": true, "image/bmp": true, "image/x-icon": true, "font/ttf": true, "font/otf": true,
	"model/gltf+json": true, "model/obj": true, "model/stl": true,
}

func isCompressible(kind string) bool {
	kind, _, _ = strings.Cut(kind, ";")
	return compressible[kind] || strings.HasPrefix(kind, "text/")
}

// accepts reports whether a client takes a coding (RFC 9110 section 12.5.3).
func accepts(r *http.Request, coding string) bool {
	verdict := false
	for _, line := range r.Header["Accept-Encoding"] {
		for part := range strings.SplitSeq(line, ",") {
			name, weight, _ := strings.Cut(part, ";")
			switch name = strings.TrimSpace(name); {
			case strings.EqualFold(name, coding), coding == "gzip" && strings.EqualFold(name, "x-gzip"):
				return !isZero(weight)
			case name == "*":
				verdict = !isZero(weight)
			}
		}
	}
	return verdict
}

// isZero reports whether a weight, like "q=0.0", says never.
func isZero(weight string) bool {
	name, value, ok := strings.Cut(strings.TrimSpace(weight), "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(name), "q") {
		return false
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	return err == nil && q == 0
}
