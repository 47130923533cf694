package cloud_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// goesOn runs fn, which goes on, and returns how it ends.
func goesOn(fn func() error) chan error {
	ended := make(chan error, 1)
	go func() { ended <- fn() }()
	return ended
}

func endsWith(t *testing.T, what string, ended chan error, kind cloud.Kind) {
	t.Helper()
	select {
	case err := <-ended:
		if cloud.KindOf(err) != kind {
			t.Errorf("%s ends with %v, want %s", what, err, kind)
		}
	case <-time.After(time.Minute):
		t.Errorf("%s goes on", what)
	}
}

// follows runs the audit for who until it ends; it returns once a first event was read.
func follows(t *testing.T, c live, who cloud.Who) chan error {
	t.Helper()
	read := make(chan struct{}, 1<<16)
	ended := goesOn(func() error {
		return c.Audit(context.Background(), who, cloud.EventFilter{}, true, func(cloud.Event) error {
			select {
			case read <- struct{}{}:
			default:
			}
			return nil
		})
	})
	select {
	case <-read:
	case err := <-ended:
		t.Fatal(err)
	case <-time.After(time.Minute):
		t.Fatal("nothing to follow")
	}
	return ended
}

// TestClaimsEndLeases: an admin whose claim is gone at the next login loses what went on by the role, and keeps what is its
// own; a change of group takes nothing away.
func TestClaimsEndLeases(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	e := newEnrolment(t, cloud.Rules{Groups: map[string]string{"a": "students", "b": "teachers"}})
	p := person("1", "jean")
	p.Admin, p.Groups = true, []string{"a"}
	jean := e.enrols(p)
	other := e.enrols(cloud.Person{Issuer: "https://sso", Subject: "2", Name: "ada", Groups: []string{"a"}})
	create := func(who cloud.Who, name string) cloud.Site {
		s, err := e.CreateSite(ctx, who, cloud.NewSite{Name: name, Type: cloud.Static})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	his, hers := create(jean, "his"), create(other, "hers")
	audit := follows(t, e.live, jean)
	own, done := e.Lease(ctx, jean, cloud.SiteFiles, his)
	defer done()
	asAdmin, done := e.Lease(ctx, jean, cloud.SiteFiles, hers)
	defer done()
	as, err := e.As(ctx, jean, "ada")
	if err != nil {
		t.Fatal(err)
	}
	lent, done := e.Lease(ctx, as, cloud.SiteFiles, hers)
	defer done()
	if err := errors.Join(own.Err(), asAdmin.Err(), lent.Err()); err != nil {
		t.Fatal(err)
	}

	p.Groups = []string{"b"}
	e.enrols(p)
	if a := e.account("jean"); a.Group != "teachers" {
		t.Errorf("in %q", a.Group)
	}
	if err := errors.Join(own.Err(), asAdmin.Err(), lent.Err()); err != nil {
		t.Errorf("another group: %v", err)
	}

	p.Admin = false
	e.enrols(p)
	if asAdmin.Err() == nil || lent.Err() == nil || own.Err() != nil {
		t.Errorf("somebody else's site: %v, with another's eyes: %v, his own: %v", asAdmin.Err(), lent.Err(), own.Err())
	}
	endsWith(t, "the audit", audit, cloud.Denied)
}

// byCertificate is a cloud that trusts one authority, whose certificates are revoked by serial.
func byCertificate(t *testing.T) (c live, who cloud.Who, revoke func(uint64), now *clock) {
	w := newWorld(t)
	now = &clock{now: time.Now()}
	revoked := make(chan uint64, 1)
	revoked <- 0
	c = w.openWith(nil, func(o *cloud.Options) {
		o.Authorities = []string{"SHA256:ca"}
		o.CertRevoked = func(c cloud.UserCert) bool {
			n := <-revoked
			defer func() { revoked <- n }()
			return n == c.Serial
		}
		o.Now = now.Now
	})
	t.Cleanup(c.Close)
	w.person(c, "ada")
	who = cloud.Who{Account: "ada", Key: "SHA256:robot", Certificate: cloud.UserCert{
		Authority: "SHA256:ca", ID: "robot", Serial: 7, Expires: now.Now().Add(time.Hour),
	}}
	return c, who, func(n uint64) { <-revoked; revoked <- n }, now
}

// TestRevokedEnds: what runs by a certificate ends soon after that was put on the list, and what others run does not.
func TestRevokedEnds(t *testing.T) {
	t.Parallel()
	c, seven, revoke, _ := byCertificate(t)
	ctx, stop := context.WithCancel(context.Background())
	running := goesOn(func() error { c.Run(ctx); return nil })
	defer func() { stop(); <-running }()
	eight := seven
	eight.Certificate.Serial = 8
	s, err := c.CreateSite(ctx, seven, cloud.NewSite{Name: "blog", Type: cloud.PHP})
	if err != nil {
		t.Fatal(err)
	}
	program := goesOn(func() error {
		_, err := c.Exec(ctx, seven, "blog", cloud.Exec{Argv: []string{"sleep", "1000"}, Stdout: io.Discard, Stderr: io.Discard})
		return err
	})
	leased, done := c.Lease(ctx, seven, cloud.SiteFiles, s)
	defer done()
	other, done := c.Lease(ctx, eight, cloud.SiteFiles, s)
	defer done()
	revoke(7)
	endsWith(t, "the program", program, cloud.Denied)
	soon(t, "the lease ends", func() bool { return leased.Err() != nil })
	if other.Err() != nil {
		t.Errorf("another certificate: %v", context.Cause(other))
	}
}

// TestExpiredGoesOn: what began under a good certificate goes on, and nothing more begins; it still ends with the account.
func TestExpiredGoesOn(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c, who, _, now := byCertificate(t)
	s, err := c.CreateSite(ctx, who, cloud.NewSite{Name: "blog", Type: cloud.Static})
	if err != nil {
		t.Fatal(err)
	}
	leased, done := c.Lease(ctx, who, cloud.SiteFiles, s)
	defer done()
	files, _, err := c.Files(ctx, who, "blog")
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	now.pass(2 * time.Hour)
	c.ReviewCertificates(ctx)
	if err := errors.Join(leased.Err(), files.Check(ctx)); err != nil {
		t.Errorf("what goes on: %v", err)
	}
	if _, _, err := c.Files(ctx, who, "blog"); cloud.KindOf(err) != cloud.Denied {
		t.Errorf("what begins: %v", err)
	}
	if err := c.DisableAccount(ctx, operator, "ada"); err != nil {
		t.Fatal(err)
	}
	c.ReviewCertificates(ctx)
	if leased.Err() == nil || cloud.KindOf(files.Check(ctx)) != cloud.Denied {
		t.Errorf("a disabled account goes on: %v, %v", leased.Err(), files.Check(ctx))
	}
}
