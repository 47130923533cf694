package cloud_test

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"

	"plil.net/nuage/cloud"
	"plil.net/nuage/home"
	"plil.net/nuage/provision/fake"
	"plil.net/nuage/proxygen/builtin"
	"plil.net/nuage/store"
)

// BenchmarkPublish is what one change costs with a thousand sites of each kind, of five hundred people.
func BenchmarkPublish(b *testing.B) {
	for _, kind := range []cloud.Type{cloud.Static, cloud.PHP} {
		b.Run(string(kind), func(b *testing.B) {
			kept, err := store.Open(filepath.Join(b.TempDir(), "nuage.db"), store.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer kept.Close()
			homes, err := home.New(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			engine := fake.New()
			defer engine.Close()
			c, err := cloud.New(cloud.Options{
				Store: kept, Engine: engine, Homes: homes, Publisher: builtin.New(builtin.Options{}),
				Groups:       []cloud.Group{{Name: "students", Limits: cloud.Limits{MaxSites: 3}}},
				DefaultGroup: "students", Domain: "plil.net",
			})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			err = kept.Update(context.Background(), func(tx cloud.Tx) error {
				for i := range 1000 {
					owner := fmt.Sprintf("p%d", i/2)
					err := tx.PutAccount(cloud.Account{Name: owner, Group: "students", Role: cloud.Member})
					if err != nil {
						return err
					}
					err = tx.PutSite(cloud.Site{ID: fmt.Sprintf("s%d", i), Name: fmt.Sprintf("n%d.plil.net", i), Owner: owner, Type: kind, State: cloud.Running,
						Root: "www", Group: "students", UID: 2000000 + i, Address: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})})
					if err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Publish(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
