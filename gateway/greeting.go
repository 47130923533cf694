package gateway

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	greetingBytes = 255                    // RFC 4253 section 4.2
	greetingTime  = 200 * time.Millisecond // clients speak first or at once; one that waits for us loses this once
)

// line is a connection whose first bytes were read ahead, and that knows when it last heard of the client.
type line struct {
	net.Conn
	reader io.Reader
	since  time.Time
	heard  atomic.Int64 // nanoseconds after since: what has passed, whoever sets the clock
	in     atomic.Bool  // logged in
}

func (l *line) Read(p []byte) (int, error) {
	n, err := l.reader.Read(p)
	if !l.in.Load() {
		acknowledge(l.Conn)
	}
	l.heard.Store(int64(time.Since(l.since)))
	return n, err
}

// silence is for how long nothing has come.
func (l *line) silence() time.Duration { return time.Since(l.since) - time.Duration(l.heard.Load()) }

// listen reads ahead what the client says it is, "" if it says nothing yet, and gives the bytes back.
func listen(raw net.Conn) (conn *line, version string) {
	_ = raw.SetReadDeadline(time.Now().Add(greetingTime))
	defer func() { _ = raw.SetReadDeadline(time.Time{}) }()
	var said []byte
	buffer := make([]byte, greetingBytes)
	for len(said) < greetingBytes && !bytes.ContainsRune(said, '\n') {
		n, err := raw.Read(buffer[:greetingBytes-len(said)])
		said = append(said, buffer[:n]...)
		if err != nil {
			break
		}
	}
	version, _, _ = strings.Cut(string(said), "\n")
	return &line{Conn: raw, since: time.Now(), reader: io.MultiReader(bytes.NewReader(said), raw)}, strings.TrimSpace(version)
}

// ciphersFor leaves OpenSSH only the ciphers that processors do fast: the client's order decides, and before version 10
// OpenSSH puts CTR, which needs a MAC besides, before GCM.
func ciphersFor(version string, all []string) []string {
	if strings.HasPrefix(version, "SSH-2.0-OpenSSH_") {
		return []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM}
	}
	return all
}
