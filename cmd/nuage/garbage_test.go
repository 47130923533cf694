package main

import (
	"testing"
	"time"
)

func TestGarbage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		live uint64
		gap  time.Duration
		want int
	}{
		{0, 0, collect},
		{1 << 20, time.Millisecond, most},
		{8 << 20, time.Millisecond, 200},
		{16 << 20, time.Millisecond, collect},
		{1 << 30, time.Millisecond, collect},
		{1 << 20, time.Minute, collect},
	} {
		if got := percentFor(test.live, test.gap); got != test.want {
			t.Errorf("%d bytes in use, after %s: %d %%, want %d", test.live, test.gap, got, test.want)
		}
	}
}
