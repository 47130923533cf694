package builtin

import (
	"io"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"time"
)

// carry passes a plain request on to its container and the answer back: what httputil.ReverseProxy does for all others.
func (p *Proxy) carry(x *exchange, to held) (again bool) {
	a, err := p.lines.ask(x.request.Context(), to.end(), outgoing(x))
	if err != nil {
		return p.unanswered(x, to, err)
	}
	defer a.end(false)
	to.answered()
	if p.stopping(a.Response, to) {
		return p.unanswered(x, to, errStopping)
	}
	dropHops(a.Header)
	a.Header.Del(requestID)
	keepHTTPS(a.Response, x.request)
	h := x.Header()
	for name, values := range a.Header {
		if ours := h[name]; len(ours) > 0 {
			values = append(ours, values...)
		}
		h[name] = values
	}
	x.WriteHeader(a.StatusCode)
	if err := p.copyBody(x, a); err != nil {
		_ = x.FlushError()          // what came before it broke off is for the visitor
		panic(http.ErrAbortHandler) // and must not look whole
	}
	if len(a.Trailer) > 0 {
		_ = x.FlushError() // a short answer would be given a length, and nothing comes after that
	}
	for name, values := range a.Trailer {
		h[http.TrailerPrefix+name] = values
	}
	return false
}

// plain reports whether a request has no body and asks for an answer and nothing else.
func plain(x *exchange) bool {
	r := x.request
	if x.upload != nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for _, name := range [...]string{"Upgrade", "Expect", "Te"} {
		if _, asks := r.Header[name]; asks {
			return false
		}
	}
	return true
}

// outgoing is a plain request as its container gets it. The values of the visitor's header are shared.
func outgoing(x *exchange) *http.Request {
	r := x.request
	h := make(http.Header, len(r.Header)+6)
	maps.Copy(h, r.Header)
	dropHops(h)
	dropForged(h)
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	ours := [...]string{x.id, client(r), r.Host, scheme}
	h[requestID], h["X-Forwarded-For"], h["X-Real-Ip"] = ours[0:1:1], ours[1:2:2], ours[1:2:2]
	h["X-Forwarded-Host"], h["X-Forwarded-Proto"] = ours[2:3:3], ours[3:4:4]
	if _, told := h["User-Agent"]; !told {
		h["User-Agent"] = nil // else net/http says that it is one
	}
	return &http.Request{Method: r.Method, URL: r.URL, Host: r.Host, Header: h}
}

// dropHops removes what is for the next hop only (RFC 9110 section 7.6.1).
func dropHops(h http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			h.Del(textproto.TrimString(name))
		}
	}
	for _, name := range [...]string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te",
		"Trailer", "Transfer-Encoding", "Upgrade"} {
		delete(h, name)
	}
}

// copyBody sends the body as it comes. What is there goes out whenever the container makes us wait.
func (p *Proxy) copyBody(x *exchange, a *answer) error {
	if a.line == nil {
		return nil
	}
	waiting := true // something to be sent: the header at first
	a.line.dry = func() {
		if waiting {
			waiting = x.FlushError() != nil
		}
	}
	b := p.buffers.Get()
	defer p.buffers.Put(b)
	tcp, pours := a.line.conn.(*net.TCPConn)
	rest := a.ContentLength
	pours = pours && rest >= pourLeast && x.request.TLS == nil && x.request.ProtoMajor == 1
	for {
		if pours && a.line != nil && a.line.in.Buffered() == 0 {
			return p.pour(x, a, tcp, rest)
		}
		n, err := a.read(b)
		rest -= int64(n)
		if n > 0 {
			waiting = true
			if _, err := x.Write(b[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// pour has the kernel move the rest of a body from one connection to the other (splice), in parts that each have their own
// deadlines. A part that a slow container has not ended in time is gone on with as long as something of it came; that it is the
// container which takes long, and not the visitor, is told by its shorter deadline.
func (p *Proxy) pour(x *exchange, a *answer, from *net.TCPConn, rest int64) error {
	if err := x.FlushError(); err != nil {
		return err
	}
	a.line.armed = time.Time{}
	for silences := 0; rest > 0; {
		began := time.Now()
		_ = from.SetReadDeadline(began.Add(p.silence / 2))
		n, err := x.ReadFrom(&io.LimitedReader{R: from, N: min(rest, sendSize)})
		rest -= n
		if n > 0 {
			silences = 0
		} else {
			silences++
		}
		switch {
		case err == nil && n == 0:
			return io.ErrUnexpectedEOF
		case err != nil && (!isTimeout(err) || silences > 1 || time.Since(began) > p.silence*3/4):
			return err
		}
	}
	a.end(true)
	return nil
}
