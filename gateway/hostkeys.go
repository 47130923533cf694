package gateway

import (
	"bytes"
	"crypto/rand"

	"golang.org/x/crypto/ssh"
)

// hostKeys are what the gateway shows to clients, and what it will show one day. OpenSSH's clients learn all of them from
// a connection that they trust, and forget what is no longer among them: PROTOCOL of OpenSSH, section 2.5.
type hostKeys struct{ used, next []ssh.Signer }

const (
	hostKeysAre   = "hostkeys-00@openssh.com"
	hostKeysProve = "hostkeys-prove-00@openssh.com"

	maxProofs = 2 // requests of a connection; each may ask for all keys, and a signature of RSA takes its time
)

func (h hostKeys) all() []ssh.Signer { return append(append([]ssh.Signer{}, h.used...), h.next...) }

// announceHostKeys tells the client all keys.
func (c *conn) announceHostKeys() {
	var payload []byte
	for _, key := range c.hosts.all() {
		payload = append(payload, ssh.Marshal(struct{ Blob []byte }{key.PublicKey().Marshal()})...)
	}
	_, _, _ = c.ssh.SendRequest(hostKeysAre, false, payload) // a connection that breaks is noticed elsewhere
}

// answer answers a request about the connection. It runs in the one goroutine that reads them.
func (c *conn) answer(r *ssh.Request) (ok bool, payload []byte) {
	if r.Type == "tcpip-forward" || r.Type == "streamlocal-forward@openssh.com" {
		c.remote.Store(true) // a no has no room for a reason: the next session tells it
	}
	if r.Type != hostKeysProve || c.proofs >= maxProofs {
		return false, nil
	}
	c.proofs++
	return c.proveHostKeys(r.Payload)
}

// proveHostKeys signs the session for each key that the client asks about. One that is not ours spoils the request.
func (c *conn) proveHostKeys(asked []byte) (ok bool, payload []byte) {
	keys := c.hosts.all()
	for n := 0; len(asked) > 0; n++ {
		var one struct {
			Blob []byte
			Rest []byte `ssh:"rest"`
		}
		if n == len(keys) || ssh.Unmarshal(asked, &one) != nil {
			return false, nil
		}
		signature, err := c.prove(keys, one.Blob)
		if err != nil || signature == nil {
			return false, nil
		}
		payload = append(payload, ssh.Marshal(struct{ Blob []byte }{ssh.Marshal(signature)})...)
		asked = one.Rest
	}
	return true, payload
}

// prove is nil for a key that is not ours.
func (c *conn) prove(keys []ssh.Signer, blob []byte) (*ssh.Signature, error) {
	for _, key := range keys {
		if !bytes.Equal(key.PublicKey().Marshal(), blob) {
			continue
		}
		data := ssh.Marshal(struct {
			What    string
			Session []byte
			Blob    []byte
		}{hostKeysProve, c.ssh.SessionID(), blob})
		if rsa, ok := key.(ssh.AlgorithmSigner); ok && key.PublicKey().Type() == ssh.KeyAlgoRSA {
			return rsa.SignWithAlgorithm(rand.Reader, data, c.rsaAlgorithm())
		}
		return key.Sign(rand.Reader, data)
	}
	return nil, nil
}

// rsaAlgorithm is what the client expects of an RSA key: the one that signed the key exchange, if that was RSA.
func (c *conn) rsaAlgorithm() string {
	if with, ok := c.ssh.Conn.(ssh.AlgorithmsConnMetadata); ok && with.Algorithms().HostKey == ssh.KeyAlgoRSASHA256 {
		return ssh.KeyAlgoRSASHA256
	}
	return ssh.KeyAlgoRSASHA512
}
