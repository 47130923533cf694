package gateway

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"plil.net/nuage/cloud"
)

// Revoked is a file that says which certificates are no longer good: lines "serial: 7", "serial: 7-12" and "id: NAME", as
// in KEY REVOCATION LISTS of ssh-keygen(1). It is looked at each time, so a line counts as soon as it is there. While
// it cannot be read, no certificate is good.
type Revoked struct {
	path string

	mu   sync.Mutex
	seen os.FileInfo // of the file that list is of
	when time.Time   // it was read
	list revocations
	err  error
}

type revocations struct {
	ids     []string
	serials [][2]uint64 // from, to
}

// OpenRevoked reads the file for the first time; "" is one that revokes nothing. Errors are Invalid.
func OpenRevoked(path string) (*Revoked, error) {
	r := &Revoked{path: path}
	if path == "" {
		return r, nil
	}
	if r.refresh(); r.err != nil {
		return nil, cloud.Errorf(cloud.Invalid, "ssh.revoked = %q: %v", path, r.err).WithHint(`write lines like "serial: 7" or "id: NAME"`)
	}
	return r, nil
}

// Has reports whether a certificate is revoked.
func (r *Revoked) Has(c cloud.UserCert) bool {
	if r.path == "" {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refresh()
	return r.err != nil || slices.Contains(r.list.ids, c.ID) ||
		slices.ContainsFunc(r.list.serials, func(s [2]uint64) bool { return s[0] <= c.Serial && c.Serial <= s[1] })
}

// Trouble says why no certificate is good, "" if some may be.
func (r *Revoked) Trouble() string {
	if r.path == "" {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refresh(); r.err == nil {
		return ""
	}
	return fmt.Sprintf("no certificate lets anybody in: ssh.revoked = %q: %v", r.path, r.err)
}

// refresh reads the file again if it has changed.
func (r *Revoked) refresh() {
	info, err := os.Stat(r.path)
	if err == nil && r.err == nil && r.same(info) {
		return
	}
	var text []byte
	if err == nil {
		r.seen, r.when = info, time.Now()
		text, err = os.ReadFile(r.path)
	}
	if err != nil {
		r.err = errors.Unwrap(err)
		return
	}
	r.list, r.err = parseRevoked(string(text))
}

// settled is for how long a file may change and keep its times: file systems tell them coarsely.
const settled = 2 * time.Second

// same reports whether info is of what was read. Another file may have its size and its time of writing, by rsync -t or a
// package, but not its number and the time that the kernel set.
func (r *Revoked) same(info os.FileInfo) bool {
	return os.SameFile(info, r.seen) && info.Size() == r.seen.Size() && info.ModTime().Equal(r.seen.ModTime()) &&
		changed(info).Equal(changed(r.seen)) && r.when.Sub(changed(info)) > settled
}

func changed(info os.FileInfo) time.Time {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(s.Ctim.Unix())
	}
	return info.ModTime()
}

func parseRevoked(text string) (list revocations, err error) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		kind, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); {
		case kind == "id" && value != "":
			list.ids = append(list.ids, value)
		case kind == "serial":
			first, last, ranged := strings.Cut(value, "-")
			if !ranged {
				last = first
			}
			from, fromErr := strconv.ParseUint(strings.TrimSpace(first), 10, 64)
			to, toErr := strconv.ParseUint(strings.TrimSpace(last), 10, 64)
			if fromErr != nil || toErr != nil || to < from {
				return list, fmt.Errorf("line %d: %q is not a serial number", n, value)
			}
			list.serials = append(list.serials, [2]uint64{from, to})
		default:
			return list, fmt.Errorf("line %d: %q is not understood", n, line)
		}
	}
	return list, nil
}
