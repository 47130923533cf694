package gateway_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

// cutConn breaks after some bytes.
type cutConn struct {
	net.Conn
	left atomic.Int64
}

func (c *cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.left.Add(-int64(n)) < 0 {
		c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *cutConn) Write(p []byte) (int, error) {
	if c.left.Add(-int64(len(p))) < 0 {
		c.Close()
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(p)
}

// TestClientGoneAnyMoment ends the connection after ever more bytes. That nothing is left of it, TestMain checks.
func TestClientGoneAnyMoment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	for left := int64(0); left < 20_000; left += 331 {
		raw, err := net.Dial("tcp", w.address)
		w.must(err)
		cut := &cutConn{Conn: raw}
		cut.left.Store(left)
		conn, channels, requests, err := ssh.NewClientConn(cut, w.address, w.clientConfig(site, ada.key))
		if err != nil {
			continue
		}
		client := ssh.NewClient(conn, channels, requests)
		if s, err := client.NewSession(); err == nil {
			s.Stdin = zeros{}
			s.Stdout = io.Discard
			if err := s.RequestPty("xterm", 24, 80, nil); err == nil {
				_ = s.Run("cat")
			}
		}
		client.Close()
	}
	w.eventually("all is over", func() bool { return w.engine.running.Load() == 0 && w.gateway.Connections("ada") == 0 })
}

// TestBrokenPackets sends what is no SSH, and what breaks its rules after the login.
func TestBrokenPackets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	for _, greeting := range []string{
		"GET / HTTP/1.1\r\n\r\n", "SSH-1.5-old\r\n", "\x00\x00\x00\x00", strings.Repeat("x", 100_000),
		"SSH-2.0-x\r\n\xff\xff\xff\xff",
	} {
		raw, err := net.Dial("tcp", w.address)
		w.must(err)
		w.must(raw.SetDeadline(time.Now().Add(patience)))
		_, _ = io.WriteString(raw, greeting)
		_ = raw.(*net.TCPConn).CloseWrite()
		if _, err := io.Copy(io.Discard, raw); err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Errorf("%.20q: the connection stays open", greeting)
			}
		}
		raw.Close()
	}
	unknown := binary.BigEndian.AppendUint32([]byte{msgChannelData}, 77)
	for _, packet := range [][]byte{
		{msgChannelOpen}, {msgGlobalRequest, 0xff, 0xff, 0xff, 0xff}, {msgChannelRequest, 0, 0}, {0}, {255},
		append(unknown, 0, 0, 0, 1, 'x'),
	} {
		c := w.wire()
		w.answers(msgAuthSuccess)(c.sign("ada", ada.key.PublicKey(), ada.key))
		w.must(c.send(packet))
		_, _ = c.run("whoami")
		c.Close()
	}
	if o := ada.ssh("ada", "", "whoami"); o.status != 0 {
		t.Errorf("%+v", o)
	}
}
