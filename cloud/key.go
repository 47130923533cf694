package cloud

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Key is an SSH public key of one account. A key belongs to one account only.
type Key struct {
	Fingerprint string    `json:"fingerprint"` // "SHA256:" and unpadded base64, as ssh-keygen -l prints
	Type        string    `json:"type"`        // RFC 4253 section 6.6 name, such as "ssh-ed25519"
	Blob        []byte    `json:"blob"`        // wire form, RFC 4253 section 6.6
	Account     string    `json:"account"`
	Label       string    `json:"label"`
	Origin      string    `json:"origin"` // how it came: "added by NAME", "school login from ADDRESS"
	Created     time.Time `json:"created"`
	Used        time.Time `json:"used"`          // last login, to the day; zero if never
	Told        time.Time `json:"told,omitzero"` // who has it knows of the account's keys up to then: see Greet

	Expires time.Time `json:"-"` // when it stops letting in unless its person logs in at the school; Keys fills it in
}

// Authenticate says whose key it is that signed. The answer counts only for a key whose signature was
// verified. NotFound for a key nobody has, Denied for one of an account that is disabled, or (ErrStale) has to log in at
// the school again.
func (c *Cloud) Authenticate(ctx context.Context, fingerprint string) (a Account, err error) {
	if fingerprint == c.OperatorKey && fingerprint != "" {
		return c.operator(), nil
	}
	err = c.Store.View(ctx, func(tx Tx) error {
		k, err := tx.Key(fingerprint)
		if err != nil {
			return err
		}
		if a, err = tx.Account(k.Account); err != nil {
			return err
		}
		return c.standing(a)
	})
	return a, err
}

// LoggedIn writes a login to the audit, with the site whose view was asked for, if any.
func (c *Cloud) LoggedIn(who Who, site string) { c.record(newEvent(who, Login, site), nil) }

// NotLoggedIn writes to the audit that a connection showed a key and why it was not let in; user is the name that it gave.
func (c *Cloud) NotLoggedIn(who Who, user string, why *Error) {
	c.record(newEvent(who, Login, user), why)
}

// AddKey gives an account one more key. Conflict if somebody has it.
func (c *Cloud) AddKey(ctx context.Context, who Who, account, text, label string) (k Key, err error) {
	err = c.doAccount(ctx, who, KeyAdd, account, func(e *Event) error {
		return c.Store.Update(ctx, func(tx Tx) error {
			if _, err := c.person(tx, account); err != nil {
				return err
			}
			k, err = c.addKey(tx, account, text, label, who)
			e.Detail = k.Fingerprint
			return err
		})
	})
	return k, err
}

func (c *Cloud) addKey(tx Tx, account, text, label string, who Who) (Key, error) {
	k, err := ParseKey(text)
	if err != nil {
		return k, err
	}
	if err := c.free(tx, account, k.Fingerprint); err != nil {
		return k, err
	}
	if label != "" {
		k.Label = cleanLabel(label)
	}
	k.Account, k.Origin, k.Created = account, "added by "+who.doer(), c.Now().UTC()
	return k, putKey(tx, k)
}

// putKey keeps a new key, and notes at its account that there is one. The others are told of it also if the clock was ahead
// when they last were, or is behind now.
func putKey(tx Tx, k Key) error {
	a, err := tx.Account(k.Account)
	if err != nil {
		return err
	}
	others, err := tx.Keys(k.Account)
	if err != nil {
		return err
	}
	for _, o := range others {
		if !o.Told.After(k.Created) {
			continue
		}
		o.Told = k.Created
		if err := tx.PutKey(o); err != nil {
			return err
		}
	}
	a.Keyed = k.Created
	if err := tx.PutAccount(a); err != nil {
		return err
	}
	return tx.PutKey(k)
}

// free refuses a key that somebody has, and one more for an account that has too many.
func (c *Cloud) free(tx Tx, account, fingerprint string) error {
	taken, err := tx.Key(fingerprint)
	switch {
	case err == nil && taken.Account == account:
		return Errorf(Conflict, "the account already has this key (%s)", fingerprint)
	case err == nil || fingerprint == c.OperatorKey:
		return Errorf(Conflict, "this key belongs to another account").WithHint("make one of your own: ssh-keygen -t ed25519")
	case KindOf(err) != NotFound:
		return err
	}
	if keys, err := tx.Keys(account); err != nil || len(keys) >= maxKeys {
		return orElse(err, Errorf(Quota, "the account has %d of %d keys", len(keys), maxKeys).WithHint("remove one with key remove"))
	}
	return nil
}

// Keys lists the keys of an account.
func (c *Cloud) Keys(ctx context.Context, who Who, account string) (keys []Key, err error) {
	err = c.doAccount(ctx, who, KeyList, account, func(*Event) error {
		return c.Store.View(ctx, func(tx Tx) error {
			a, err := c.account(tx, account)
			if err != nil {
				return err
			}
			keys, err = tx.Keys(account)
			for i := range keys {
				keys[i].Expires = c.expiry(a)
			}
			return err
		})
	})
	return keys, err
}

// RemoveKey takes a key from an account, named by its fingerprint or a beginning of it that is the only one. It
// works at once, also on open sessions. The last key of oneself stays: it would lock one out.
func (c *Cloud) RemoveKey(ctx context.Context, who Who, account, fingerprint string) (k Key, err error) {
	err = c.doAccount(ctx, who, KeyRemove, account, func(e *Event) error {
		return c.Store.Update(ctx, func(tx Tx) error {
			keys, err := tx.Keys(account)
			if err != nil {
				return err
			}
			if k, err = pickKey(keys, fingerprint); err != nil {
				return err
			}
			if len(keys) == 1 && account == who.Account {
				return Errorf(Conflict, "this is your only key: without it you cannot log in").WithHint("add another one first")
			}
			e.Detail = k.Fingerprint
			return tx.DeleteKey(k.Fingerprint)
		})
	})
	if err == nil {
		c.Revoked(account, k.Fingerprint)
	}
	return k, err
}

func pickKey(keys []Key, fingerprint string) (found Key, err error) {
	for _, k := range keys {
		switch {
		case k.Fingerprint == fingerprint:
			return k, nil
		case !strings.HasPrefix(strings.TrimPrefix(k.Fingerprint, "SHA256:"), strings.TrimPrefix(fingerprint, "SHA256:")) || fingerprint == "":
		case found.Fingerprint != "":
			return Key{}, Errorf(Invalid, "several keys begin with %q", fingerprint).WithHint("type more of it, as key list shows")
		default:
			found = k
		}
	}
	if found.Fingerprint == "" {
		return found, Errorf(NotFound, "no key %q", fingerprint).WithHint("key list shows the fingerprints")
	}
	return found, nil
}

const maxKeys = 50 // of an account

const (
	minRSABits  = 3072
	maxKeyBytes = 16 << 10
	maxKeyLabel = 64
)

const keyHint = "paste one line of your .pub file: ssh-ed25519 AAAA… (ssh-keygen -t ed25519 makes one)"

// ParseKey reads one public key in the form of an authorized_keys line without options (sshd(8),
// AUTHORIZED_KEYS FILE FORMAT). The comment becomes the label. Errors are Invalid.
func ParseKey(text string) (Key, error) {
	if len(text) > maxKeyBytes {
		return Key{}, Errorf(Invalid, "the key has more than %d bytes", maxKeyBytes).WithHint(keyHint)
	}
	if strings.Contains(text, "PRIVATE KEY") {
		return Key{}, Errorf(Invalid, "this is a private key: keep it to yourself").
			WithHint("send the file that ends in .pub; if this one was ever seen by others, make a new one")
	}
	line := strings.TrimSpace(text)
	if line == "" {
		return Key{}, Errorf(Invalid, "no key was given").WithHint("send it on standard input: … key add < ~/.ssh/id_ed25519.pub")
	}
	pub, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil:
		return Key{}, Errorf(Invalid, "this is not an SSH public key").WithHint(keyHint).Because(err)
	case len(options) > 0:
		return Key{}, Errorf(Invalid, "key options such as %q are not supported", options[0]).WithHint(keyHint)
	case len(strings.TrimSpace(string(rest))) > 0 || strings.Contains(line, "\n"):
		return Key{}, Errorf(Invalid, "there is more than one line: add one key at a time").WithHint(keyHint)
	}
	if err := checkStrength(pub); err != nil {
		return Key{}, err
	}
	return Key{
		Fingerprint: ssh.FingerprintSHA256(pub),
		Type:        pub.Type(),
		Blob:        pub.Marshal(),
		Label:       cleanLabel(comment),
	}, nil
}

// checkStrength accepts Ed25519, ECDSA, RSA of at least 3072 bits, and the FIDO kinds of the first two.
func checkStrength(pub ssh.PublicKey) error {
	switch pub.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return nil
	}
	if _, cert := pub.(*ssh.Certificate); cert {
		return Errorf(Invalid, "this is a certificate, not a plain key").WithHint(keyHint)
	}
	crypto, ok := pub.(ssh.CryptoPublicKey)
	if !ok {
		return Errorf(Invalid, "keys of type %q are not accepted", pub.Type()).WithHint(keyHint)
	}
	switch k := crypto.CryptoPublicKey().(type) {
	case *ecdsa.PublicKey:
		return nil
	case *rsa.PublicKey:
		if k.N.BitLen() >= minRSABits {
			return nil
		}
		return Errorf(Invalid, "this RSA key has %d bits; the least accepted is %d", k.N.BitLen(), minRSABits).
			WithHint("make a better one: ssh-keygen -t ed25519")
	}
	return Errorf(Invalid, "keys of type %q are not accepted", pub.Type()).WithHint("make a better one: ssh-keygen -t ed25519")
}

// cleanLabel keeps a label printable, on one line, and short.
func cleanLabel(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return -1
		}
		return r
	}, strings.TrimSpace(s))
	if r := []rune(s); len(r) > maxKeyLabel {
		s = string(r[:maxKeyLabel])
	}
	return s
}
