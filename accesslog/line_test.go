package accesslog

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// FuzzLine says in plain ASCII what encoding/json reads as the same hit, with its keys in the same order.
func FuzzLine(f *testing.F) {
	f.Add("GET", "/", "", int64(1700000000123456789), 200, int64(5), 0.001, false, int64(0))
	f.Add("P\"\\T", "/<é\u2028\U0001f600\x7f\x00\n&>", "\xff\xfe", int64(0), -1, int64(-1), 1e9, true, int64(7))
	f.Fuzz(func(t *testing.T, method, path, agent string, at int64, status int, bytes int64, ms float64, tls bool, dropped int64) {
		if !(ms >= 0.001 && ms < 1e12) && ms != 0 { // what a clock measures
			t.Skip()
		}
		h := cloud.Hit{Time: time.Unix(0, at).UTC(), ID: "id", Client: "::1", Method: method, Host: agent, Path: path, Proto: "HTTP/1.1",
			TLS: tls, Status: status, Bytes: bytes, Millis: ms, Referer: path, Agent: agent, Dropped: dropped}
		line := appendLine(nil, h)
		for i, c := range line {
			if (c < ' ' || c >= 0x7f) && i != len(line)-1 {
				t.Fatalf("byte %#x in %q", c, line)
			}
		}
		text, err := json.Marshal(h)
		if err != nil {
			t.Skip()
		}
		var got, want cloud.Hit
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if isPlain(string(text)) && string(text)+"\n" != string(line) {
			t.Errorf("got %s, want %s", line, text)
		}
	})
}

func isPlain(s string) bool {
	for _, c := range s {
		if c >= 0x7f {
			return false
		}
	}
	return true
}
