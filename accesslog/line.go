package accesslog

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"plil.net/nuage/cloud"
)

// appendLine appends a hit as one line of JSON in plain ASCII: nothing that a visitor sent can end a line or reach a
// terminal. It says what json.Marshal would, without reflection: there may be tens of thousands a second.
func appendLine(to []byte, h cloud.Hit) []byte {
	to = append(to, `{"time":"`...)
	to = h.Time.AppendFormat(to, time.RFC3339Nano)
	to = append(to, '"')
	for _, text := range [...]struct{ name, value string }{
		{"id", h.ID}, {"client", h.Client}, {"method", h.Method}, {"host", h.Host}, {"path", h.Path}, {"proto", h.Proto},
	} {
		to = appendText(appendName(to, text.name), text.value)
	}
	to = strconv.AppendBool(appendName(to, "tls"), h.TLS)
	to = strconv.AppendInt(appendName(to, "status"), int64(h.Status), 10)
	to = strconv.AppendInt(appendName(to, "bytes"), h.Bytes, 10)
	to = strconv.AppendFloat(appendName(to, "ms"), h.Millis, 'f', -1, 64)
	if h.Referer != "" {
		to = appendText(appendName(to, "referer"), h.Referer)
	}
	if h.Agent != "" {
		to = appendText(appendName(to, "agent"), h.Agent)
	}
	if h.Dropped != 0 {
		to = strconv.AppendInt(appendName(to, "dropped"), h.Dropped, 10)
	}
	return append(to, "}\n"...)
}

func appendName(to []byte, name string) []byte {
	to = append(to, `,"`...)
	to = append(to, name...)
	return append(to, `":`...)
}

// appendText appends a string, in quotes. Most need nothing but them.
func appendText(to []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return appendEscaped(to, s)
		}
	}
	to = append(to, '"')
	to = append(to, s...)
	return append(to, '"')
}

func appendEscaped(to []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("encode a string: %v", err)) // there is none that cannot be
	}
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r < 0x7f:
			to = append(to, byte(r))
		case r > 0xffff:
			to = fmt.Appendf(to, `\u%04x\u%04x`, (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00)
		default:
			to = fmt.Appendf(to, `\u%04x`, r)
		}
		text = text[size:]
	}
	return to
}
