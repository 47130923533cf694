package cloud

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// UserCert is what holds of an SSH user certificate after its login (PROTOCOL.certkeys of OpenSSH). It is made up
// by an authority that the config trusts, of which there is a list in Options.Authorities. The zero value is a login
// by a plain key.
type UserCert struct {
	Authority string // fingerprint of the plain key that signed it
	ID        string // the authority's name for it, "key id"
	Serial    uint64
	Expires   time.Time // zero: never
}

// String is empty for the zero value, else what the audit keeps.
func (c UserCert) String() string {
	if c.Authority == "" {
		return ""
	}
	return short(fmt.Sprintf("%q serial %d", c.ID, c.Serial))
}

// Ended reports whether it lets nobody in any more.
func (c UserCert) Ended(now time.Time) bool { return !c.Expires.IsZero() && !now.Before(c.Expires) }

func certEnded(c UserCert) error {
	return Errorf(Denied, "certificate %s has expired", c).WithHint("get a new one and log in again")
}

// begun is who as asked about what goes on: a certificate has to be good when something begins, and as with OpenSSH's
// sshd its end by time does not cut what runs. Whatever else takes it away does.
func (w Who) begun() Who {
	w.Certificate.Expires = time.Time{}
	return w
}

// ReviewCertificates ends what goes on by certificates that were revoked, or whose account was shut.
func (c *Cloud) ReviewCertificates(ctx context.Context) {
	c.review(ctx, func(l lease) bool { return l.who.Certificate != UserCert{} })
}

const revokedEvery = time.Second

// reviewCertificates does so for as long as ctx lasts: nobody tells when the list of revoked ones changes.
func (c *Cloud) reviewCertificates(ctx context.Context) {
	for c.CertRevoked != nil && ctx.Err() == nil {
		c.ReviewCertificates(ctx)
		wait(ctx, revokedEvery)
	}
}

// AuthenticateCertificate says whose account a principal is. The answer counts only for a certificate that was checked
// and whose key has signed. NotFound where there is no such account, Denied for one that is disabled and for a
// certificate whose authority is not trusted (any more), that was revoked or has expired.
func (c *Cloud) AuthenticateCertificate(ctx context.Context, principal string, cert UserCert) (a Account, err error) {
	switch {
	case cert.Authority == "" || !slices.Contains(c.Authorities, cert.Authority):
		return a, Errorf(Denied, "the authority of this certificate, %q, is not trusted here", cert.Authority).WithHint("ask your admin")
	case c.CertRevoked != nil && c.CertRevoked(cert):
		return a, Errorf(Denied, "certificate %s was revoked", cert).WithHint("ask your admin for another")
	case cert.Ended(c.Now()):
		return a, certEnded(cert)
	}
	err = c.Store.View(ctx, func(tx Tx) error {
		if a, err = tx.Account(principal); KindOf(err) == NotFound {
			return noAccount(principal)
		}
		if err == nil {
			err = c.standing(a)
		}
		return err
	})
	return a, err
}
