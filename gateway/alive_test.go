package gateway_test

import (
	"testing"
	"time"

	"plil.net/nuage/gateway"
)

// TestKeepAlive has one client that answers, one that only sends, and one that says nothing.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	const often = 2 * time.Second // who answers has three times that, on a machine that is busy too
	w := newWorld(t, gateway.Limits{KeepAlive: often})
	ada, bob, cyd := w.person("ada"), w.person("bob"), w.person("cyd")
	alive := ada.dial("ada")
	dead, deaf := w.wire(), w.wire()
	w.answers(msgAuthSuccess)(dead.sign("bob", bob.key.PublicKey(), bob.key))
	w.answers(msgAuthSuccess)(deaf.sign("cyd", cyd.key.PublicKey(), cyd.key))
	w.eventually("both are there", func() bool { return w.gateway.Connections("bob") == 1 && w.gateway.Connections("cyd") == 1 })
	w.eventually("who says nothing is gone", func() bool {
		w.must(deaf.send([]byte{msgIgnore, 0, 0, 0, 0}))
		return w.gateway.Connections("bob") == 0
	})
	s := w.session(alive)
	s.exec("whoami")
	if got := s.wait(); got != 0 {
		t.Errorf("who answers: status %d", got)
	}
	if w.gateway.Connections("cyd") != 1 {
		t.Error("who sends is gone")
	}
}
