package cloud

import (
	"fmt"
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	t.Parallel()
	var p pace
	now := time.Unix(1_000_000, 0)
	for i := range 3 {
		if _, ok := p.take("ann", 3, time.Minute, now.Add(time.Duration(i)*10*time.Second)); !ok {
			t.Errorf("%d is refused", i)
		}
	}
	if wait, ok := p.take("ann", 3, time.Minute, now.Add(45*time.Second)); ok || wait != 15*time.Second {
		t.Errorf("the fourth: %v, wait %s", ok, wait)
	}
	if _, ok := p.take("bob", 3, time.Minute, now); !ok {
		t.Error("another account is refused")
	}
	if _, ok := p.take("ann", 3, time.Minute, now.Add(time.Minute)); !ok {
		t.Error("refused after a minute")
	}
	for i := range 3 * paceMost {
		p.take(fmt.Sprint(i), 3, time.Minute, now)
	}
	if len(p.done) > paceMost {
		t.Errorf("%d accounts are remembered", len(p.done))
	}
}
