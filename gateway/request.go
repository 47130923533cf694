package gateway

import (
	"math"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
)

// What clients may put into the requests of a session, RFC 4254 section 6. Whatever does not read whole, to the
// last byte and within these limits, is refused.
const (
	maxCommand  = 128<<10 - 1 // bytes; Linux takes no longer argument
	maxTerm     = 64          // bytes of a terminal's name
	maxEnv      = 64          // variables of a session
	maxEnvBytes = 32 << 10    // of all of them
)

// usualSize is that of a terminal that does not say.
var usualSize = cloud.WindowSize{Columns: 80, Rows: 24}

// terminal is what a pty-req asks for.
type terminal struct {
	term string
	size cloud.WindowSize
}

func parsePTY(payload []byte) (t terminal, ok bool) {
	var m struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}
	if ssh.Unmarshal(payload, &m) != nil || len(m.Term) > maxTerm || !printable(m.Term) {
		return t, false
	}
	return terminal{m.Term, windowSize(m.Columns, m.Rows)}, true
}

func parseWindow(payload []byte) (size cloud.WindowSize, ok bool) {
	var m struct{ Columns, Rows, Width, Height uint32 }
	if ssh.Unmarshal(payload, &m) != nil {
		return size, false
	}
	return windowSize(m.Columns, m.Rows), true
}

func windowSize(columns, rows uint32) cloud.WindowSize {
	if columns == 0 || rows == 0 {
		return usualSize
	}
	return cloud.WindowSize{Columns: uint16(min(columns, math.MaxUint16)), Rows: uint16(min(rows, math.MaxUint16))}
}

// envAllowed are the variables that pass into a session, besides LC_*. None of them makes a program load or run
// something.
var envAllowed = []string{"COLORTERM", "GIT_PROTOCOL", "LANG", "NO_COLOR", "TZ"}

func parseEnv(payload []byte) (variable string, ok bool) {
	var m struct{ Name, Value string }
	if ssh.Unmarshal(payload, &m) != nil || strings.ContainsRune(m.Value, 0) {
		return "", false
	}
	if !slices.Contains(envAllowed, m.Name) && !isLocale(m.Name) {
		return "", false
	}
	return m.Name + "=" + m.Value, true
}

func isLocale(name string) bool {
	category, ok := strings.CutPrefix(name, "LC_")
	return ok && category != "" && strings.Trim(category, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
}

// signals are those of RFC 4254 section 6.10, with their numbers on Linux.
var signals = map[string]int{
	"ABRT": 6, "ALRM": 14, "FPE": 8, "HUP": 1, "ILL": 4, "INT": 2, "KILL": 9, "PIPE": 13, "QUIT": 3, "SEGV": 11, "TERM": 15,
	"USR1": 10, "USR2": 12,
}

func parseSignal(payload []byte) (name string, ok bool) {
	var m struct{ Name string }
	if ssh.Unmarshal(payload, &m) != nil {
		return "", false
	}
	_, ok = signals[m.Name]
	return m.Name, ok
}

func parseCommand(payload []byte) (line string, ok bool) {
	var m struct{ Line string }
	if ssh.Unmarshal(payload, &m) != nil || len(m.Line) > maxCommand || strings.ContainsRune(m.Line, 0) {
		return "", false
	}
	return m.Line, true
}

func parseSubsystem(payload []byte) (name string, ok bool) {
	var m struct{ Name string }
	err := ssh.Unmarshal(payload, &m)
	return m.Name, err == nil
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
