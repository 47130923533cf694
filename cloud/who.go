package cloud

// Operator is the name of the host's own admin, used by "nuage ctl". It is no record of the store: it is
// whoever can read the operator key in the data directory.
const Operator = "operator"

// Enroller is the SSH user name that leads to the school login.
const Enroller = "enrol"

// Who is acting: an account, and by which key from where. It comes from the key that signed the login and
// from nothing else. It is passed as an argument, never kept in a context. Verbs look the account up
// again each time, so that what was taken from it is gone at once.
type Who struct {
	Account string // whose rights count
	Key     string // fingerprint, "SHA256:…"
	Address string // remote host:port
	By      string // the admin whose key it is, where it looks with the eyes of Account: see [Cloud.As]; else ""

	Certificate UserCert // that Key came with, if any
}

// doer is who did it.
func (w Who) doer() string {
	if w.By != "" {
		return w.By
	}
	return w.Account
}
