package nginx

import (
	"strings"
	"testing"
	"time"
)

// TestParse takes what our log_format writes, and nothing else.
func TestParse(t *testing.T) {
	t.Parallel()
	site, h, ok := parse([]byte(`{"site":"7","ended":1795409183.500,"took":0.250,"status":"404","bytes":12,"id":"ab","client":"::1",` +
		`"method":"GET","host":"a.test","path":"/` + strings.Repeat("x", 2100) + `","proto":"HTTP/2.0","tls":"on","referer":"","agent":"a\n\u0000\"b"}`))
	if !ok || site != "7" || h.Status != 404 || h.Bytes != 12 || h.ID != "ab" || !h.TLS || h.Millis != 250 || h.Agent != "a\n\x00\"b" {
		t.Errorf("%v %q %+v", ok, site, h)
	}
	if want := time.Unix(1795409183, 250e6); !h.Time.Equal(want) {
		t.Errorf("it began at %s, want %s", h.Time, want)
	}
	if len(h.Path) > 2060 {
		t.Errorf("the path has %d bytes", len(h.Path))
	}
	for _, bad := range []string{``, `{}`, `[]`, `null`, `{"site":""}`, `{"site":7}`, `{"site":"7","took":"x"}`, `{"site":"7"`, "\x00\x00"} {
		if site, _, ok := parse([]byte(bad)); ok {
			t.Errorf("%q is a hit of %q", bad, site)
		}
	}
}
