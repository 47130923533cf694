package cloud

import (
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// What stands in front of a site: a page that says that it is being worked on, and a password.

// Bytes of a site's password: bcrypt reads no more.
const (
	minPassword = 8
	maxPassword = 72
)

// setMaintenance is "site set NAME maintenance=on".
func (c *Cloud) setMaintenance(_ Tx, s *Site, value string) error {
	switch value {
	case "on", "off", "":
		s.Maintenance = value == "on"
		return nil
	}
	return Errorf(Invalid, "maintenance %q is not known", value).WithHint("write maintenance=on or maintenance=off")
}

// setPassword is "site set NAME password=…", once sealPasswords has been at it.
func (c *Cloud) setPassword(_ Tx, s *Site, hash string) error {
	s.Password = hash
	return nil
}

const passwordKey = "password="

// sealPasswords puts the bcrypt hash in the place of a password. It takes a while, so it is done before the store is
// asked for its one transaction. No error of it tells the password: it would stand in the audit.
func sealPasswords(pairs []string) ([]string, error) {
	sealed := append([]string{}, pairs...)
	for i, pair := range pairs {
		password, ok := strings.CutPrefix(pair, passwordKey)
		if !ok || password == "" {
			continue
		}
		if len(password) < minPassword || len(password) > maxPassword {
			return nil, Errorf(Invalid, "the password has %d bytes; it needs %d to %d", len(password), minPassword, maxPassword).
				WithHint("a few words are easy to remember and hard to guess")
		}
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
		if err != nil {
			return nil, Errorf(Internal, "the password could not be hashed").Because(err)
		}
		sealed[i] = passwordKey + string(hash)
	}
	return sealed, nil
}
