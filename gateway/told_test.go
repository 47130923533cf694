package gateway_test

import (
	"io"
	"testing"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

// TestAuditOfAProgram: the audit has the login, the beginning and the end of a program, whose key it was, from where, and how
// many bytes came and went.
func TestAuditOfAProgram(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	c := ada.dial(site)
	s := w.session(c)
	s.exec("cat; printf more >&2; exit 3")
	_, err := io.WriteString(s, "hello")
	w.must(err)
	w.must(s.CloseWrite())
	go func() { _, _ = io.Copy(io.Discard, s.Stderr()) }()
	if out, err := io.ReadAll(s); err != nil || string(out) != "hello" {
		t.Errorf("%q %v", out, err)
	}
	if status := s.wait(); status != 3 {
		t.Errorf("status %d", status)
	}
	told := map[cloud.Action]cloud.Event{}
	err = w.cloud.Audit(t.Context(), w.who(), cloud.EventFilter{Account: "ada", Target: site}, false, func(e cloud.Event) error {
		told[e.Action] = e
		return nil
	})
	w.must(err)
	for _, a := range []cloud.Action{cloud.Login, cloud.SiteExecStart, cloud.SiteExec} {
		e := told[a]
		if e.Result != "ok" || e.Key != ssh.FingerprintSHA256(ada.key.PublicKey()) || e.Address != c.LocalAddr().String() || e.Time.IsZero() {
			t.Errorf("%s: %+v", a, e)
		}
	}
	end := told[cloud.SiteExec]
	if end.Received != 5 || end.Sent != 9 || end.Seq <= told[cloud.SiteExecStart].Seq {
		t.Errorf("the end: %+v", end)
	}
	has(t, end.Detail, "status 3 after ")
}
