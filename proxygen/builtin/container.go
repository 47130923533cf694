package builtin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"plil.net/nuage/cloud"
)

// dialing connects to containers.
type dialing func(ctx context.Context, network, address string) (net.Conn, error)

func dialer(l limits, reach func(context.Context, netip.AddrPort) (net.Conn, error)) dialing {
	if reach != nil {
		return twice(reaching(l.dial, reach))
	}
	return twice((&net.Dialer{Timeout: l.dial}).DialContext)
}

// newTransport takes what is more than a plain request to its container.
func newTransport(l limits, dial dialing) *http.Transport {
	return &http.Transport{
		// Never a proxy of the environment: an HTTP_PROXY set for the host would be sent every request that
		// is meant for a container, and it knows no container.
		Proxy:       nil,
		DialContext: counting(dial),
		// Else a compressed answer would arrive unpacked.
		DisableCompression:     true,
		MaxIdleConnsPerHost:    l.containerKept,
		IdleConnTimeout:        l.containerIdle,
		ResponseHeaderTimeout:  l.silence,
		ExpectContinueTimeout:  time.Second, // then the body is sent without the container's word
		MaxResponseHeaderBytes: l.responseHeader,
	}
}

// farEnd is where a connection leads: to one run of one site's container. The address may be another's tomorrow.
type farEnd struct {
	site string
	at   netip.AddrPort
	run  uint64
}

// What is kept open to a container must serve no later one at its address: that would meet a request there with a reset. So
// the host by which a transport knows a connection begins with the number of the run and the site.
const runMark = "-run."

func (f farEnd) String() string {
	if !f.at.Addr().Is4() { // no site has another; its brackets bear no more
		return f.at.String()
	}
	return strconv.FormatUint(f.run, 10) + "." + f.site + runMark + f.at.String()
}

// ofRun dials far ends. A connection counts only if the run still goes on once it is made: while it was, the site may have been
// deleted and its address given to the next.
func ofRun(dial dialing, runOf func(site string) uint64) dialing {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		mark, at, marked := strings.Cut(address, runMark)
		if !marked {
			return dial(ctx, network, address)
		}
		conn, err := dial(ctx, network, at)
		if err != nil {
			return nil, err
		}
		if run, site, _ := strings.Cut(mark, "."); strconv.FormatUint(runOf(site), 10) != run {
			conn.Close()
			return nil, &net.OpError{Op: "dial", Net: network, Err: errStopping}
		}
		return conn, nil
	}
}

// counting bounds the headers of the answers that a transport gets.
func counting(dial dialing) dialing {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return newBounded(conn), nil
	}
}

// reaching makes of reach what a transport dials with.
func reaching(limit time.Duration, reach func(context.Context, netip.AddrPort) (net.Conn, error)) dialing {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		conn, err := reach(ctx, at)
		if err != nil {
			return nil, &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(at), Err: err}
		}
		return conn, nil
	}
}

const dialAgain = 100 * time.Millisecond

// twice dials once more where nobody listened: the site is held, so its web server was there a moment ago or is about to
// be, and nothing of the request was sent.
func twice(dial dialing) dialing {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if !nobodyThere(err) {
			return conn, err
		}
		select {
		case <-time.After(dialAgain):
			return dial(ctx, network, address)
		case <-ctx.Done():
			return nil, err
		}
	}
}

func nobodyThere(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
}

var (
	errSilent   = errors.New("the container fell silent in its answer")
	errStopping = errors.New("the container was being stopped")
	errNonsense = errors.New("the container answered with a status below 100")
)

// forward passes a request on to the site's container and its answer back, holding the site meanwhile. again: somebody stopped the
// container in between, there is no answer yet, and the request may be sent once more.
func (p *Proxy) forward(x *exchange, route cloud.Route) (again bool) {
	if x.request.ContentLength > p.body {
		p.show(x, p.tooLarge())
		return false
	}
	at, answered, release, err := p.hold(x.request, route)
	if err != nil {
		p.refuse(x, route, err)
		return false
	}
	defer release()
	defer answered()
	// A site that says no type has its reasons: net/http must not guess one.
	x.Header()["Content-Type"] = nil
	h := held{route, at, p.sites.RunOf(route.SiteID), answered}
	if plain(x) {
		return p.carry(x, h)
	}
	return p.reverse(x, h)
}

// held is a site that is held for a request.
type held struct {
	route    cloud.Route
	at       netip.AddrPort
	run      uint64 // of its container
	answered func() // to be called once it has said something
}

func (h held) end() farEnd { return farEnd{h.route.SiteID, h.at, h.run} }

// reverse passes on what is no plain request: one with a body, or one that becomes a WebSocket.
func (p *Proxy) reverse(x *exchange, to held) (again bool) {
	ctx, cancel := context.WithCancelCause(x.request.Context())
	defer cancel(nil)
	trace, heard := bounding(p.responseHeader)
	proxy := httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { rewrite(r, to.end().String(), x.id) },
		Transport:     p.transport,
		FlushInterval: flushAfter,
		BufferPool:    p.buffers,
		ErrorLog:      p.debugLog(),
		ModifyResponse: func(res *http.Response) error {
			heard()
			to.answered()
			if p.stopping(res, to) {
				return errStopping
			}
			if res.StatusCode < 100 {
				return errNonsense // net/http panics on it
			}
			res.Header.Del(requestID)
			keepHTTPS(res, x.request)
			watch(res, x, func() { cancel(errSilent) })
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { again = p.unanswered(x, to, err) },
	}
	proxy.ServeHTTP(x, x.request.WithContext(httptrace.WithClientTrace(ctx, trace)))
	return again
}

// stopping reports whether an answer is that of the server before PHP, which is gone already because somebody stopped the site.
func (p *Proxy) stopping(res *http.Response, to held) bool {
	return res.StatusCode >= http.StatusBadGateway && res.StatusCode <= http.StatusGatewayTimeout && p.sites.RunOf(to.route.SiteID) != to.run
}

// unanswered is for a request that a container gave no answer to.
func (p *Proxy) unanswered(x *exchange, to held, err error) (again bool) {
	if to.run != 0 && p.sites.RunOf(to.route.SiteID) == to.run || isTimeout(err) && !isDial(err) {
		p.failed(x, to.route, err)
		return false
	}
	return p.stoppedUnder(x, to.route, err)
}

// stoppedUnder is for a request whose container was stopped on purpose. What never reached it, or only asked for something,
// may be sent again. Of any other request nobody knows how far it was done.
func (p *Proxy) stoppedUnder(x *exchange, route cloud.Route, err error) (again bool) {
	switch {
	case x.request.Context().Err() != nil || x.upload.failure() != nil:
		p.failed(x, route, err)
	case !x.upload.begun() && (isDial(err) || safe(x.request.Method)):
		return true
	default:
		p.show(x, p.interrupted(route))
	}
	return false
}

// safe methods change nothing (RFC 9110 section 9.2.1).
func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions || method == http.MethodTrace
}

// hold holds the site. One that sleeps has to wake first, one that is gone has to come again, and one at rest has to wait for its turn: a browser is told
// after a second, by a page that asks again; other programs wait for longer. answered is to be called once the site answers.
func (p *Proxy) hold(r *http.Request, route cloud.Route) (at netip.AddrPort, answered, release func(), err error) {
	if route.State == cloud.Asleep {
		if err := p.mayWake(r, route); err != nil {
			return at, nil, nil, err
		}
	}
	patience := p.wake
	if r.Method == http.MethodGet && wantsHTML(r) {
		patience = p.wakePage
	}
	ctx, cancel := context.WithTimeoutCause(r.Context(), patience, errWaking)
	defer cancel()
	if at, release, err = p.sites.Hold(ctx, route.SiteID); err == nil {
		if answered, err = p.stirs.enter(ctx, route.SiteID, p.now); err != nil {
			release()
		}
	}
	if err != nil && context.Cause(ctx) == errWaking {
		err = errWaking
	}
	return at, answered, release, err
}

// keepHTTPS mends a redirect to the site itself that the container, which sees plain HTTP only, made without the s.
func keepHTTPS(res *http.Response, r *http.Request) {
	if r.TLS == nil {
		return
	}
	if rest, ok := strings.CutPrefix(res.Header.Get("Location"), "http://"+r.Host+"/"); ok {
		res.Header.Set("Location", "https://"+r.Host+"/"+rest)
	}
}

// rewrite turns a request of the web into one for the container.
func rewrite(r *httputil.ProxyRequest, at, id string) {
	r.Out.URL.Scheme = "http"
	r.Out.URL.Host = at
	r.Out.URL.RawQuery = r.In.URL.RawQuery // as it is: we read no parameter that could be read differently
	r.Out.Host = r.In.Host
	dropForged(r.Out.Header)
	r.Out.Header.Set(requestID, id)
	r.SetXForwarded()
	if client, _, err := net.SplitHostPort(r.In.RemoteAddr); err == nil {
		r.Out.Header.Set("X-Real-IP", client)
	}
	// Any other upgrade, h2c above all, would open a pipe in which later requests pass by the lines above.
	if !strings.EqualFold(r.Out.Header.Get("Upgrade"), "websocket") {
		r.Out.Header.Del("Upgrade")
		r.Out.Header.Del("Connection")
	}
}

// dropForged removes what only a proxy may say. "Proxy" is among it because CGI programs find it as
// HTTP_PROXY and send their own requests there. Names are compared as PHP sees them: with all but letters
// and digits alike.
func dropForged(h http.Header) {
	for name := range h {
		if !strings.ContainsRune("fxp", rune(name[0]|0x20)) {
			continue // as most: none of the forged begins with another letter
		}
		seen := strings.Map(func(r rune) rune {
			if notInHost(r) || r == '_' || r == '.' {
				return '-'
			}
			return r
		}, strings.ToLower(name))
		if seen == "forwarded" || seen == "x-real-ip" || seen == "x-request-id" || seen == "proxy" || strings.HasPrefix(seen, "x-forwarded-") {
			delete(h, name)
		}
	}
}

// failed answers for a container that did not.
func (p *Proxy) failed(x *exchange, route cloud.Route, err error) {
	upload := x.upload.failure()
	switch {
	case errors.Is(upload, errTooLarge):
		p.show(x, p.tooLarge())
	case errors.Is(upload, os.ErrDeadlineExceeded): // which ends the request's context too
		p.show(x, page{Status: http.StatusRequestTimeout, Title: "Upload timed out",
			Text: "No byte of the request arrived for " + p.silence.String() + "."})
	case x.request.Context().Err() != nil:
		panic(http.ErrAbortHandler) // nobody is there to read an answer
	case upload != nil:
		p.show(x, page{Status: http.StatusBadRequest, Title: "Bad request", Text: "The body of the request is broken."})
	case isTimeout(err) && !isDial(err):
		p.show(x, p.slow(route))
	case isDial(err):
		p.log.Warn("no way to a site that runs", "request", x.id, "site", route.Site, "err", err)
		p.show(x, p.dead(route))
	default:
		p.log.Debug("container failed", "request", x.id, "site", route.Site, "err", err)
		p.show(x, p.dead(route))
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

func isDial(err error) bool {
	var e *net.OpError
	return errors.As(err, &e) && e.Op == "dial"
}

// watch calls silent once a read of the answer's body has taken too long and the upload, if there is still
// one, has stood still as well.
func watch(res *http.Response, x *exchange, silent func()) {
	if res.StatusCode == http.StatusSwitchingProtocols {
		return // a WebSocket may be silent; TCP finds out whether its ends still live
	}
	d := &download{ReadCloser: res.Body, upload: x.upload, limit: x.limits.silence, silent: silent}
	d.timer = time.AfterFunc(d.limit, d.check)
	res.Body = d
}

// download is the body of a container's answer.
type download struct {
	io.ReadCloser
	upload  *upload
	limit   time.Duration
	silent  func()
	timer   *time.Timer
	reading atomic.Bool
}

func (d *download) Read(b []byte) (int, error) {
	d.reading.Store(true)
	d.timer.Reset(d.limit)
	defer d.timer.Stop()
	defer d.reading.Store(false)
	return d.ReadCloser.Read(b)
}

func (d *download) check() {
	switch {
	case !d.reading.Load():
	case d.upload.movedWithin(d.limit):
		d.timer.Reset(d.limit)
	default:
		d.silent()
	}
}

// buffers lend the copies their memory.
type buffers struct{ pool sync.Pool }

func newBuffer() any { return new([bufferSize]byte) }

func (b *buffers) Get() []byte  { return b.pool.Get().(*[bufferSize]byte)[:] }
func (b *buffers) Put(s []byte) { b.pool.Put((*[bufferSize]byte)(s)) }
