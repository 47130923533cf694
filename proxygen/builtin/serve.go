package builtin

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"

	"plil.net/nuage/cloud"
)

// Serve answers HTTP on plain and HTTPS on secure until ctx ends; either may be nil. Both listeners are
// closed when it returns. Requests under way then have limits.drain to end, and everything else, WebSockets
// too, is cut. It returns nil after ctx has ended, and an error if a listener fails before.
func (p *Proxy) Serve(ctx context.Context, plain, secure net.Listener) error {
	if secure != nil && p.certs == nil {
		return cloud.Errorf(cloud.Internal, "HTTPS needs certificates")
	}
	plain, secure = p.gate.listen(plain), p.gate.listen(secure)
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	crowd := newCrowd()
	server := p.server(base, crowd)
	ended := make(chan error, 2)
	open := 0
	if plain != nil {
		open++
		go func() { ended <- server.Serve(plain) }()
	}
	if secure != nil {
		open++
		go func() { ended <- server.ServeTLS(secure, "", "") }()
	}

	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
		open--
	}
	p.drainAll(server, cut)
	for range open {
		<-ended
	}
	crowd.wait()
	p.transport.CloseIdleConnections()
	p.lines.closeIdle()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

func (p *Proxy) server(base context.Context, crowd *crowd) *http.Server {
	return &http.Server{
		Handler:           crowd.count(p.Handler()),
		TLSConfig:         p.tlsConfig(),
		ReadHeaderTimeout: p.readHeader,
		IdleTimeout:       p.keepAlive,
		MaxHeaderBytes:    p.header,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          p.debugLog(), // mostly strangers with bad handshakes
	}
}

func (p *Proxy) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: p.certificate,
		// Without "h2" here, a Serve that comes before ServeTLS leaves the server unable to speak it, and yet
		// clients are offered it.
		NextProtos: []string{"h2", "http/1.1", "acme-tls/1"},
	}
}

func (p *Proxy) drainAll(server *http.Server, cut func()) {
	ctx, cancel := context.WithTimeout(context.Background(), p.drain)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		p.log.Warn("requests cut at shutdown", "after", p.drain)
	}
	cut()
	_ = server.Close()
}

// certificate is asked at each handshake. With neither a certificate nor an error crypto/tls sends the
// client the alert unrecognized_name: so it is for a host that is not served, and for a client that names
// none, as one does that comes by address. No certificate could be right for it.
func (p *Proxy) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if _, ok := p.route(hello.ServerName); !ok {
		return nil, nil
	}
	named := *hello
	named.ServerName, _ = normalHost(hello.ServerName)
	return p.certs.GetCertificate(&named)
}

func (p *Proxy) debugLog() *log.Logger {
	return slog.NewLogLogger(p.log.Handler(), slog.LevelDebug)
}

// catch keeps a panic of one request from the others. If the answer has begun, the connection is cut, so
// that half an answer does not look whole.
func (p *Proxy) catch(x *exchange) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	p.log.Error("panic in a request", "request", x.id, "host", x.request.Host, "path", x.request.URL.Path, "panic", v, "stack", string(debug.Stack()))
	if x.status != 0 {
		panic(http.ErrAbortHandler)
	}
	p.show(x, page{Status: http.StatusInternalServerError, Title: "Something broke", Text: "Something broke on our side.",
		Hint: "tell your admin when it was; the cause is in the log"})
}

// crowd counts requests under way. http.Server forgets those whose connection became a WebSocket.
type crowd struct {
	mu    sync.Mutex
	n     int
	ended *sync.Cond
}

func newCrowd() *crowd {
	c := &crowd{}
	c.ended = sync.NewCond(&c.mu)
	return c
}

func (c *crowd) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.add(1)
		defer c.add(-1)
		h.ServeHTTP(w, r)
	})
}

func (c *crowd) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n += n; c.n == 0 {
		c.ended.Broadcast()
	}
}

func (c *crowd) wait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.n > 0 {
		c.ended.Wait()
	}
}
