package storetest

import (
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

func fullDomain() cloud.Domain {
	return cloud.Domain{
		Host: "www.xn--bcher-kva.example", Site: "id1", Token: "0123", Created: at(0), Proved: at(1), Checked: at(2), Problem: "TXT: \u2028 gone",
	}
}

func domainKeepsEveryField(t *testing.T, s cloud.Store) {
	want, bare := fullDomain(), cloud.Domain{Host: "a.example", Site: "id1"}
	update(t, s, func(tx cloud.Tx) error { return first(tx.PutDomain(want), tx.PutDomain(bare)) })
	view(t, s, func(tx cloud.Tx) error {
		got, err := tx.Domain(want.Host, want.Site)
		same(t, got, want)
		all, listErr := tx.Domains()
		same(t, all, []cloud.Domain{bare, want})
		_, none := tx.Domain(want.Host, "id2")
		kind(t, none, cloud.NotFound)
		return first(err, listErr)
	})
}

// domainOfSeveral: many may ask for a host, one has it.
func domainOfSeveral(t *testing.T, s cloud.Store) {
	proved, other := fullDomain(), fullDomain()
	other.Site = "id2"
	update(t, s, func(tx cloud.Tx) error {
		kind(t, first(tx.PutDomain(proved), tx.PutDomain(other)), cloud.Conflict)
		kind(t, tx.PutDomain(cloud.Domain{Host: "a.example"}), cloud.Internal)
		asking := other
		asking.Proved = time.Time{}
		return first(tx.PutDomain(asking), tx.PutDomain(proved))
	})
	update(t, s, func(tx cloud.Tx) error {
		return first(tx.DeleteDomain(proved.Host, proved.Site), tx.DeleteDomain(proved.Host, proved.Site), tx.PutDomain(other))
	})
	view(t, s, func(tx cloud.Tx) error {
		all, err := tx.Domains()
		same(t, all, []cloud.Domain{other})
		kind(t, tx.PutDomain(other), cloud.Internal) // in a view
		kind(t, tx.DeleteDomain(other.Host, other.Site), cloud.Internal)
		return err
	})
}
