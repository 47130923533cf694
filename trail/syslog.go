package trail

import (
	"fmt"
	"net"
	"os"
	"time"
)

// syslog is the one of this host, by its socket: a message a line, as syslog(3) writes them. One that is away is looked for
// again with each batch; one that has stopped reading is waited for only so long.
type syslog struct {
	paths []string
	conn  net.Conn // nil: it is away
	end   string   // of a message, where the socket does not keep them apart
	stuck bool     // it did not take the last message in time
}

const (
	authprivInfo = 10<<3 | 6 // facility and severity, RFC 3164 section 4.1.1

	syslogTakes = 2 * time.Second        // to take a message
	syslogAgain = 100 * time.Millisecond // where it did not take the last in time
)

// syslogPaths are where the C library and others of Unix look.
func syslogPaths() []string { return []string{"/dev/log", "/var/run/syslog", "/var/run/log"} }

func (s *syslog) open() (err error) {
	for _, path := range s.paths {
		for network, end := range map[string]string{"unixgram": "", "unix": "\n"} {
			if s.conn, err = net.DialTimeout(network, path, syslogTakes); err == nil {
				s.end = end
				return nil
			}
		}
	}
	s.conn = nil
	return err
}

// write sends each line, and where the socket is not that of the syslog any more, looks once for the new one.
func (s *syslog) write(lines [][]byte) (taken int, err error) {
	wait := syslogTakes
	if s.stuck {
		wait = syslogAgain
	}
	defer func() { s.stuck = os.IsTimeout(err) }()
	for _, line := range lines {
		if err = s.send(line, wait); err != nil && !os.IsTimeout(err) {
			err = s.send(line, wait)
		}
		if err != nil {
			return taken, err
		}
		taken++
	}
	return taken, nil
}

// send leaves no connection behind on which it failed: half a message may be in it.
func (s *syslog) send(line []byte, wait time.Duration) (err error) {
	if s.conn == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	if err := s.conn.SetWriteDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.conn, "<%d>%s nuage[%d]: %s%s", authprivInfo, time.Now().Format(time.Stamp), os.Getpid(), line, s.end)
	return err
}

func (s *syslog) Close() error {
	if s.conn == nil {
		return nil
	}
	defer func() { s.conn = nil }()
	return s.conn.Close()
}
