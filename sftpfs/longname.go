package sftpfs

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"
)

// recent is for how long a listing tells the time of day and not the year.
const recent = 365 * 24 * time.Hour / 2

// longName is a line of ls -l, as OpenSSH's ls_file in sftp-common.c writes it. Some clients show it, and some read
// it (PuTTY's, older FileZilla's).
func (s *session) longName(fi fs.FileInfo) string {
	links, user, group := uint64(1), "-", "-"
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		links, user, group = uint64(st.Nlink), s.owner(st.Uid), s.owner(st.Gid)
	}
	return fmt.Sprintf("%s  %3d %-8s %-8s %8d %s %s",
		modeString(fi.Mode()), links, user, group, fi.Size(), timeString(fi.ModTime(), time.Now()), shown(fi.Name()))
}

// shown is a name without what a terminal would obey: curl and others print these lines as they come. The name itself, which
// clients work with, stands beside the line in all its bytes.
func shown(name string) string {
	var b strings.Builder
	for len(name) > 0 {
		r, n := utf8.DecodeRuneInString(name)
		switch lone := r == utf8.RuneError && n == 1; {
		case lone && name[0] < 0xa0: // a control where terminals speak Latin-1
			fmt.Fprintf(&b, `\x%02x`, name[0])
		case lone || unicode.IsPrint(r):
			b.WriteString(name[:n])
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		name = name[n:]
	}
	return b.String()
}

func (s *session) owner(id uint32) string {
	if name := s.userName(id); name != "" {
		return name
	}
	return strconv.FormatUint(uint64(id), 10)
}

func timeString(t, now time.Time) string {
	if age := now.Sub(t); age > recent || age < 0 {
		return t.Format("Jan _2  2006")
	}
	return t.Format("Jan _2 15:04")
}

// modeString is strmode(3) of what a home has.
func modeString(m fs.FileMode) string {
	kind := byte('-')
	switch m.Type() {
	case fs.ModeDir:
		kind = 'd'
	case fs.ModeSymlink:
		kind = 'l'
	case fs.ModeSocket:
		kind = 's'
	case fs.ModeNamedPipe:
		kind = 'p'
	case fs.ModeDevice:
		kind = 'b'
	case fs.ModeDevice | fs.ModeCharDevice:
		kind = 'c'
	}
	b := []byte(m.Perm().String())
	b[0] = kind
	special := func(bit fs.FileMode, at int, set, bare byte) {
		if m&bit == 0 {
			return
		}
		if b[at] == 'x' {
			b[at] = set
		} else {
			b[at] = bare
		}
	}
	special(fs.ModeSetuid, 3, 's', 'S')
	special(fs.ModeSetgid, 6, 's', 'S')
	special(fs.ModeSticky, 9, 't', 'T')
	return string(b)
}
