package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// TestFiltersDecodeLittle: what a filter passes over is not decoded. Decoding an event takes some 20 allocations.
func TestFiltersDecodeLittle(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "nuage.db"))
	const count = 5000
	populate(t, b, 0, count)
	for name, c := range map[string]struct {
		f    cloud.EventFilter
		want int
		most float64
	}{
		"after":   {cloud.EventFilter{After: count - 10}, 10, 500},
		"since":   {cloud.EventFilter{Since: epoch.Add((count - 10) * time.Second)}, 10, 2 * count},
		"account": {cloud.EventFilter{Account: "account299"}, count / 300, 2 * count},
		"target":  {cloud.EventFilter{Target: "site999.plil.net"}, count / 1000, 2 * count},
	} {
		got := 0
		allocated := testing.AllocsPerRun(1, func() {
			got = 0
			err := b.View(t.Context(), func(tx cloud.Tx) error {
				return tx.Events(c.f, func(cloud.Event) bool { got++; return true })
			})
			if err != nil {
				t.Error(err)
			}
		})
		if got != c.want || allocated > c.most {
			t.Errorf("%s: %d events of %d, %.0f allocations of %.0f", name, got, c.want, allocated, c.most)
		}
	}
}
