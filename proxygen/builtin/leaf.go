package builtin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"sync"
	"time"
)

const (
	leafLife  = 90 * 24 * time.Hour
	leafRenew = 60 * 24 * time.Hour // after its making
)

// leaf is one host's certificate, made by the first handshake that asks for it while the others wait. It
// is kept in memory only: to make another takes less than a millisecond.
type leaf struct {
	made time.Time // by the clock on the wall, which may be set
	once sync.Once
	cert *tls.Certificate
	err  error
}

// GetCertificate finds or issues the certificate for hello.ServerName, which the caller has checked.
func (c *CA) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	l := c.leaf(hello.ServerName)
	l.once.Do(func() { l.cert, l.err = c.issue(hello.ServerName) })
	if l.err != nil {
		c.forget(hello.ServerName, l)
	}
	return l.cert, l.err
}

func (c *CA) leaf(host string) *leaf {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.leaves[host]
	if ok && c.fresh(l.made) {
		return l
	}
	if !ok && len(c.leaves) >= maxLeaves {
		for other := range c.leaves { // any one: it is made again when asked for
			delete(c.leaves, other)
			break
		}
	}
	l = &leaf{made: c.now().Round(0)}
	c.leaves[host] = l
	return l
}

func (c *CA) forget(host string, l *leaf) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaves[host] == l {
		delete(c.leaves, host)
	}
}

func (c *CA) issue(host string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := c.now()
	end := now.Add(leafLife)
	if c.cert.NotAfter.After(now) && end.After(c.cert.NotAfter) {
		end = c.cert.NotAfter
	}
	template := &x509.Certificate{
		DNSNames:              []string{host}, // no subject: a common name has at most 64 characters
		NotBefore:             now.Add(hourAgo),
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, c.cert, key.Public(), c.key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: parsed}, nil
}
