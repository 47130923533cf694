package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
)

// serverConfig is what holds for all connections. The algorithms are those that ssh-audit finds nothing against;
// the CTR ciphers and the plain MAC are for PuTTY before 0.81 and other old clients. Without chacha20 there is
// nothing for the Terrapin attack to cut, also with a client that has no strict key exchange.
func serverConfig(hostKeys []ssh.Signer) ssh.ServerConfig {
	config := ssh.ServerConfig{
		Config: ssh.Config{
			KeyExchanges: []string{ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519},
			Ciphers:      []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherAES128CTR, ssh.CipherAES256CTR},
			MACs:         []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA256},
		},
		PublicKeyAuthAlgorithms: ssh.SupportedAlgorithms().PublicKeyAuths,
		MaxAuthTries:            20, // each key that an agent offers counts
		ServerVersion:           "SSH-2.0-nuage",
	}
	for _, key := range hostKeys {
		config.AddHostKey(key)
	}
	return config
}

// maxUser is the longest SSH user name: that of a host name, RFC 1035 section 2.3.4.
const maxUser = 255

// identity is the key of ExtraData under which an authentication leaves its cloud.Who: only the permissions of the
// key that signed reach the connection.
type identity struct{}

func identified(who cloud.Who) *ssh.Permissions {
	return &ssh.Permissions{ExtraData: map[any]any{identity{}: who}}
}

// proof is the key of ExtraData under which a key that was offered has what follows once it has signed.
type proof struct{}

type whenSigned func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error)

func onceSigned(then whenSigned) *ssh.Permissions {
	return &ssh.Permissions{ExtraData: map[any]any{proof{}: then}}
}

// login holds what one connection's authentication needs. It keeps no identity.
type login struct {
	*Gateway
	ctx      context.Context
	raw      net.Conn
	deadline *deadline
	client   ssh.ServerPreAuthConn

	warned   bool
	shown    shown // the first key that came
	visiting bool  // it is on the way to the school: a key nobody knows leads there once
	visited  bool

	paced   *cloud.Error // why somebody who has signed was not let in: see pace
	pacedAs string
}

// authenticator returns the config of one connection, which has until deadline, and what will be known of it.
func (g *Gateway) authenticator(ctx context.Context, raw net.Conn, deadline *deadline) (*ssh.ServerConfig, *login) {
	l := &login{Gateway: g, ctx: ctx, raw: raw, deadline: deadline}
	config := g.config
	config.PreAuthConnCallback = func(c ssh.ServerPreAuthConn) { l.client = c }
	config.PublicKeyCallback = l.offered
	config.VerifiedPublicKeyCallback = l.proven
	if g.cloud.School != nil {
		config.NoClientAuth, config.NoClientAuthCallback = true, l.unasked
		config.KeyboardInteractiveCallback = l.keyless
	}
	return &config, l
}

// tell says something before the login is over: clients show it on stderr, and not at all with "ssh -q".
func (l *login) tell(text string) { _ = l.client.SendAuthBanner(text) }

// offered answers whether a key could log in. It proves nothing: anybody can offer anybody's key. So a key of a
// disabled account is told apart from others only once it has signed.
func (l *login) offered(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	if len(conn.User()) > maxUser {
		return nil, fmt.Errorf("user name of %d bytes", len(conn.User()))
	}
	l.remember(conn, key)
	if cert, ok := key.(*ssh.Certificate); ok {
		return l.certificate(conn, cert)
	}
	_, err := l.cloud.Authenticate(l.ctx, ssh.FingerprintSHA256(key))
	switch cloud.KindOf(err) {
	case "", cloud.Denied:
		return onceSigned(l.signed), nil
	case cloud.NotFound:
		if l.cloud.School != nil && !l.visiting {
			return l.strange(key)
		}
		return nil, l.unknown(key)
	}
	return nil, l.broken(err)
}

// proven goes on where offered left off, now that the key has signed.
func (l *login) proven(conn ssh.ConnMetadata, key ssh.PublicKey, offered *ssh.Permissions, _ string) (*ssh.Permissions, error) {
	then, ok := offered.ExtraData[proof{}].(whenSigned)
	if !ok {
		return nil, l.broken(fmt.Errorf("a key signed that nobody accepted"))
	}
	return then(conn, key)
}

// signed says who it is.
func (l *login) signed(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	fingerprint := ssh.FingerprintSHA256(key)
	account, err := l.cloud.Authenticate(l.ctx, fingerprint)
	switch kind := cloud.KindOf(err); {
	case kind == "":
		if err := l.inTurn(l.ctx, conn, account.Name); err != nil {
			return nil, err
		}
		return l.welcome(cloud.Who{Account: account.Name, Key: fingerprint, Address: conn.RemoteAddr().String()}), nil
	case kind == cloud.NotFound: // removed since it was offered
		return nil, l.unknown(key)
	case errors.Is(err, cloud.ErrStale) && l.cloud.School != nil && !l.visiting:
		return nil, l.toSchool(key, cloud.Explain(err, newRef))
	}
	return nil, l.refused(err)
}

// welcome lets somebody in, and says what the account should know.
func (l *login) welcome(who cloud.Who) *ssh.Permissions {
	lines, err := l.cloud.Greet(l.ctx, who)
	if err != nil {
		l.log.Error("no greeting", "account", who.Account, "err", err)
	}
	if len(lines) > 0 {
		l.tell(strings.Join(lines, "\n") + "\n")
	}
	return identified(who)
}

// unknown tells once a connection what to do about a key nobody has: an agent may offer many.
func (l *login) unknown(key ssh.PublicKey) error {
	if l.visiting {
		return ssh.ErrNoAuth // the prompt of the school says what to do
	}
	return l.once(cloud.Errorf(cloud.Denied, "nobody here has your key %s", ssh.FingerprintSHA256(key)).
		WithHint("send the line of your .pub file to an admin, who adds it with: %s",
			l.cloud.Door.SSH("key add --account YOU")))
}

// once is a refusal that is told only if it is the first.
func (l *login) once(e *cloud.Error) error {
	if l.warned {
		return ssh.ErrNoAuth
	}
	l.warned = true
	return banner(e)
}

// refused tells somebody who has signed why not.
func (l *login) refused(err error) error {
	if cloud.KindOf(err) == cloud.Internal {
		return l.broken(err)
	}
	return banner(cloud.Explain(err, newRef))
}

func (l *login) broken(err error) error {
	e := cloud.Explain(err, newRef)
	l.log.Error("authentication failed", "ref", e.Ref, "err", err)
	return banner(e)
}

func banner(e *cloud.Error) error { return &ssh.BannerError{Err: e, Message: told(e)} }

// told is how people read an error.
func told(e *cloud.Error) string {
	text := "nuage: " + e.Message + "\n"
	if e.Hint != "" {
		text += "hint: " + e.Hint + "\n"
	}
	return text
}
