package gateway

import "golang.org/x/crypto/ssh"

// Keys are the keys that a gateway has in its data directory.
type Keys struct {
	host, rsa, operator ssh.Signer
	next                []ssh.Signer
}

// OpenKeys loads them, and makes those that are missing: see HostKey and OperatorKey.
func OpenKeys(data string) (k Keys, err error) {
	if k.host, err = HostKey(data); err != nil {
		return k, err
	}
	if k.rsa, err = rsaHostKey(data); err != nil {
		return k, err
	}
	if k.next, err = nextHostKeys(data); err != nil {
		return k, err
	}
	k.operator, err = OperatorKey(data)
	return k, err
}

// HostKeys are what the gateway shows to clients.
func (k Keys) HostKeys() []ssh.Signer { return []ssh.Signer{k.host, k.rsa} }

// NextHostKeys are those that clients shall learn before they are used.
func (k Keys) NextHostKeys() []ssh.Signer { return k.next }

// OperatorFingerprint is what cloud.Options takes as the operator's key.
func (k Keys) OperatorFingerprint() string { return ssh.FingerprintSHA256(k.operator.PublicKey()) }
