package gateway

import (
	"net/netip"
	"testing"
)

// TestVisitorsMakeRoomRegression: three addresses took all places at the school's login server, and kept everybody else out.
func TestVisitorsMakeRoomRegression(t *testing.T) {
	t.Parallel()
	v := visitors{limit: 6, each: 3}
	var gone []string
	enter := func(from, name string) (leave func()) {
		leave, err := v.enter(netip.MustParsePrefix(from+"/32"), func() { gone = append(gone, name) })
		if err != nil {
			return nil
		}
		return leave
	}
	for _, name := range []string{"a1", "a2", "a3"} {
		if enter("192.0.2.1", name) == nil || enter("192.0.2.2", "b"+name) == nil {
			t.Fatal("refused with room left")
		}
	}
	if enter("192.0.2.1", "a4") != nil || len(gone) != 0 {
		t.Errorf("a fourth of an address is let in; gone %q", gone)
	}
	leave := enter("192.0.2.3", "c1")
	if leave == nil || len(gone) != 1 || gone[0] != "a1" {
		t.Fatalf("gone %q", gone)
	}
	if enter("192.0.2.3", "c2") == nil || len(gone) != 2 || gone[1] != "ba1" {
		t.Errorf("gone %q", gone)
	}
	if enter("192.0.2.3", "c3") != nil || len(gone) != 2 { // all have two
		t.Errorf("gone %q", gone)
	}
	leave()
	leave() // once is enough
	if enter("192.0.2.4", "d1") == nil || len(v.all) != 6 || len(gone) != 2 {
		t.Errorf("%d are there, gone %q", len(v.all), gone)
	}
}
