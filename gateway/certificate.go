package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
)

// The critical options that are understood, PROTOCOL.certkeys of OpenSSH; a certificate with any other is refused.
const (
	forceCommand  = "force-command"
	sourceAddress = "source-address"
)

// Authorities are the plain keys whose user certificates let in.
type Authorities []ssh.PublicKey

// ReadAuthorities reads the public keys whose user certificates let in: files of authorized_keys lines, as of
// TrustedUserCAKeys in sshd_config(5). Errors are Invalid. A certificate is no authority.
func ReadAuthorities(paths []string) (keys Authorities, err error) {
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, cloud.Errorf(cloud.Invalid, "the authority %q cannot be read: %v", path, errors.Unwrap(err)).
				WithHint("name the .pub file of the key that signs: ssh-keygen -s KEY makes certificates with it")
		}
		before := len(keys)
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
				continue
			}
			parsed, err := cloud.ParseKey(line)
			if err != nil {
				return nil, fmt.Errorf("the authority %q: %w", path, err)
			}
			key, err := ssh.ParsePublicKey(parsed.Blob)
			if err != nil {
				return nil, fmt.Errorf("the authority %q: %w", path, err)
			}
			keys = append(keys, key)
		}
		if len(keys) == before {
			return nil, cloud.Errorf(cloud.Invalid, "the authority %q holds no key", path).WithHint("take it out of ssh.user_ca, or put a .pub line in it")
		}
	}
	return keys, nil
}

// Fingerprints are what cloud.Options takes as authorities.
func (a Authorities) Fingerprints() (list []string) {
	for _, key := range a {
		list = append(list, ssh.FingerprintSHA256(key))
	}
	return list
}

// bounds are what a certificate leaves of a login. The zero value bounds nothing.
type bounds struct {
	command   string // what runs, whatever is asked for
	forced    bool
	noTTY     bool
	noForward bool
	noAgent   bool
}

// certificate checks a user certificate before its key has signed. All but the address, which x/crypto compares with
// Permissions, is decided here.
func (l *login) certificate(conn ssh.ConnMetadata, cert *ssh.Certificate) (*ssh.Permissions, error) {
	principal, err := principalOf(conn.User(), cert)
	if err == nil {
		err = l.checkCertificate(principal, cert)
	}
	if err != nil {
		return nil, banner(cloud.Errorf(cloud.Denied, "certificate %q is refused: %s", cert.KeyId, strings.TrimPrefix(err.Error(), "ssh: ")).
			WithHint("ssh-keygen -L -f CERT shows what it says; ask who made it"))
	}
	permissions := onceSigned(func(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		return l.certified(conn, cert, principal)
	})
	permissions.CriticalOptions = addresses(cert)
	return permissions, nil
}

// principalOf is whose certificate it is. The SSH user name is not who somebody is, so it only chooses where a
// certificate names several.
func principalOf(user string, cert *ssh.Certificate) (string, error) {
	switch of := cert.ValidPrincipals; {
	case len(of) == 0:
		return "", errors.New("it names nobody (no principal)")
	case len(of) == 1:
		return of[0], nil
	case slices.Contains(of, user):
		return user, nil
	default:
		return "", fmt.Errorf("it names %d accounts and %q is none of them", len(of), user)
	}
}

func (l *login) checkCertificate(principal string, cert *ssh.Certificate) error {
	if cert.CertType != ssh.UserCert {
		return errors.New("it is not a user certificate")
	}
	if !l.trusted(cert.SignatureKey) {
		return fmt.Errorf("its authority %s is not trusted here", ssh.FingerprintSHA256(cert.SignatureKey))
	}
	if _, err := cloud.ParseKey(string(ssh.MarshalAuthorizedKey(cert.Key))); err != nil {
		return err
	}
	checker := ssh.CertChecker{SupportedCriticalOptions: []string{forceCommand, sourceAddress}, Clock: l.cloud.Now}
	return checker.CheckCert(principal, cert)
}

// trusted compares plain keys: a certificate is never an authority, whoever signed it (CVE-2025-49825).
func (g *Gateway) trusted(authority ssh.PublicKey) bool {
	if _, nested := authority.(*ssh.Certificate); nested {
		return false
	}
	return slices.ContainsFunc(g.authorities, func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), authority.Marshal()) })
}

// certified says who it is, now that the key of the certificate has signed.
func (l *login) certified(conn ssh.ConnMetadata, cert *ssh.Certificate, principal string) (*ssh.Permissions, error) {
	held := cloud.UserCert{Authority: ssh.FingerprintSHA256(cert.SignatureKey), ID: cert.KeyId, Serial: cert.Serial}
	if cert.ValidBefore != ssh.CertTimeInfinity {
		held.Expires = time.Unix(int64(cert.ValidBefore), 0)
	}
	account, err := l.cloud.AuthenticateCertificate(l.ctx, principal, held)
	if err != nil {
		return nil, l.refused(err)
	}
	if err := l.inTurn(l.ctx, conn, account.Name); err != nil {
		return nil, err
	}
	who := cloud.Who{
		Account: account.Name, Key: ssh.FingerprintSHA256(cert.Key), Address: conn.RemoteAddr().String(), Certificate: held,
	}
	permissions := identified(who)
	permissions.ExtraData[bounds{}] = boundsOf(cert)
	permissions.CriticalOptions = addresses(cert)
	return permissions, nil
}

// underCertificate hangs up on a login by certificate once that is revoked. What runs has a moment to say why it ends.
func (c *conn) underCertificate(ctx context.Context) (done func()) {
	if c.who.Certificate == (cloud.UserCert{}) {
		return func() {}
	}
	leased, done := c.cloud.Lease(ctx, c.who, cloud.WhoAmI, cloud.Site{})
	c.group.Go(func() {
		<-leased.Done()
		c.hangUp()
	})
	return done
}

// outlived is why nothing more may begin on a connection that goes on; "" if it may.
func (c *conn) outlived() (reason string) {
	if !c.who.Certificate.Ended(c.cloud.Now()) {
		return ""
	}
	return "nuage: the certificate of this login has expired: get a new one and log in again"
}

func addresses(cert *ssh.Certificate) map[string]string {
	options := maps.Clone(cert.CriticalOptions)
	maps.DeleteFunc(options, func(name, _ string) bool { return name != sourceAddress })
	return options
}

func boundsOf(cert *ssh.Certificate) (b bounds) {
	b.command, b.forced = cert.CriticalOptions[forceCommand]
	_, tty := cert.Extensions["permit-pty"]
	_, forward := cert.Extensions["permit-port-forwarding"]
	_, agent := cert.Extensions["permit-agent-forwarding"]
	b.noTTY, b.noForward, b.noAgent = !tty, !forward, !agent
	return b
}

// bounded is what runs of the program that was asked for. "internal-sftp" is SFTP, as in sshd_config(5).
func (s *session) bounded(asked program, sftp bool) program {
	switch {
	case !s.bounds.forced:
		return asked
	case s.bounds.command == "internal-sftp":
		if sftp {
			return asked
		}
		return func(ctx context.Context) int {
			return s.fail(cloud.Errorf(cloud.Denied, "this certificate is only for SFTP").WithHint("use sftp or scp"))
		}
	}
	return func(ctx context.Context) int { return s.execute(ctx, s.bounds.command) }
}
