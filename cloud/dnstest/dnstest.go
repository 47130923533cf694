// Package dnstest is a real DNS server on loopback, for tests of what looks at DNS. It answers for records that a test
// sets, follows CNAMEs among them as a resolver does, takes signed updates (RFC 2136), and knows nothing else.
package dnstest

import (
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Server answers over UDP and TCP on the same port.
type Server struct {
	Addr string // host:port

	udp, tcp *dns.Server
	running  sync.WaitGroup

	mu      sync.Mutex
	records []dns.RR
	broken  bool
}

// The key by which updates are signed, as a resolver's config has it.
const (
	KeyName   = "nuage."
	KeySecret = "c2VjcmV0IG9mIHRoZSB0ZXN0cyBvbmx5LCAzMiBieQ==" // base64
)

// New starts a server on a port of its own.
func New() (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	packets, err := net.ListenPacket("udp", listener.Addr().String())
	if err != nil {
		listener.Close()
		return nil, err
	}
	s := &Server{Addr: listener.Addr().String()}
	var up sync.WaitGroup
	up.Add(2)
	s.udp = &dns.Server{PacketConn: packets, Handler: dns.HandlerFunc(s.answer), NotifyStartedFunc: up.Done, TsigSecret: keys(), MsgAcceptFunc: all}
	s.tcp = &dns.Server{Listener: listener, Handler: dns.HandlerFunc(s.answer), NotifyStartedFunc: up.Done, TsigSecret: keys(), MsgAcceptFunc: all}
	s.running.Go(func() { _ = s.udp.ActivateAndServe() })
	s.running.Go(func() { _ = s.tcp.ActivateAndServe() })
	up.Wait()
	return s, nil
}

// Close ends the server.
func (s *Server) Close() {
	_ = s.udp.Shutdown()
	_ = s.tcp.Shutdown()
	s.running.Wait()
}

// Add adds a record, written as in a zone file: "www.example.org. 60 IN A 192.0.2.1".
func (s *Server) Add(record string) error {
	rr, err := dns.NewRR(record)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = append(s.records, rr)
	return nil
}

// Remove takes all records of a name away.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var kept []dns.RR
	for _, rr := range s.records {
		if !strings.EqualFold(rr.Header().Name, dns.Fqdn(name)) {
			kept = append(kept, rr)
		}
	}
	s.records = kept
}

// Break makes the server fail (SERVFAIL) at each question, or answer again.
func (s *Server) Break(broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = broken
}

func (s *Server) answer(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	s.mu.Lock()
	switch {
	case s.broken:
		m.Rcode = dns.RcodeServerFailure
	case q.Opcode == dns.OpcodeUpdate:
		s.update(w, q, m)
	case len(q.Question) == 1:
		m.Answer = s.find(q.Question[0].Name, q.Question[0].Qtype)
		if len(m.Answer) == 0 && !s.has(q.Question[0].Name) {
			m.Rcode = dns.RcodeNameError
		}
	}
	s.mu.Unlock()
	_ = w.WriteMsg(m)
}

func keys() map[string]string { return map[string]string{KeyName: KeySecret} }

func all(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }

// update adds and removes records, RFC 2136 section 2.5, for who has the key.
func (s *Server) update(w dns.ResponseWriter, q, m *dns.Msg) {
	signature := q.IsTsig()
	if signature == nil || w.TsigStatus() != nil {
		m.Rcode = dns.RcodeRefused
		return
	}
	for _, rr := range q.Ns {
		h := rr.Header()
		if h.Class == dns.ClassINET {
			s.records = append(s.records, rr)
			continue
		}
		s.records = slices.DeleteFunc(s.records, func(have dns.RR) bool {
			same := strings.EqualFold(have.Header().Name, h.Name) && have.Header().Rrtype == h.Rrtype
			if h.Class == dns.ClassANY {
				return same
			}
			one := dns.Copy(rr)
			one.Header().Class, one.Header().Ttl = dns.ClassINET, have.Header().Ttl
			return same && one.String() == have.String()
		})
	}
	m.SetTsig(signature.Hdr.Name, signature.Algorithm, 300, time.Now().Unix())
}

func (s *Server) has(name string) bool {
	for _, rr := range s.records {
		if strings.EqualFold(rr.Header().Name, name) {
			return true
		}
	}
	return false
}

// find follows CNAMEs for a few steps.
func (s *Server) find(name string, kind uint16) (found []dns.RR) {
	for range 8 {
		next := ""
		for _, rr := range s.records {
			if !strings.EqualFold(rr.Header().Name, name) {
				continue
			}
			if alias, ok := rr.(*dns.CNAME); ok && kind != dns.TypeCNAME {
				found, next = append(found, rr), alias.Target
			} else if rr.Header().Rrtype == kind {
				found = append(found, rr)
			}
		}
		if next == "" {
			break
		}
		name = next
	}
	return found
}
