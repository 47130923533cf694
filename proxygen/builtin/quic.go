package builtin

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"plil.net/nuage/cloud"
)

// ServeQUIC answers HTTP/3 on conn until ctx ends, and then gives requests under way limits.drain, as Serve does. The
// caller closes conn, and tells of it by Options.QUICPort: browsers come here once an answer over TCP has said so.
func (p *Proxy) ServeQUIC(ctx context.Context, conn net.PacketConn) error {
	if p.certs == nil {
		return cloud.Errorf(cloud.Internal, "HTTP/3 needs certificates")
	}
	crowd := newCrowd()
	server := &http3.Server{
		Handler:        crowd.count(p.Handler()),
		TLSConfig:      http3.ConfigureTLSConfig(p.tlsConfig()),
		MaxHeaderBytes: p.header,
		IdleTimeout:    p.keepAlive,
		QUICConfig:     &quic.Config{HandshakeIdleTimeout: p.readHeader, MaxIdleTimeout: p.keepAlive},
		ConnContext:    p.admitQUIC,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(conn) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
		ended <- nil
	}
	draining, cancel := context.WithTimeout(context.Background(), p.drain)
	defer cancel()
	_ = server.Shutdown(draining)
	_ = server.Close()
	<-ended
	crowd.wait()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// admitQUIC counts a connection like those of TCP.
func (p *Proxy) admitQUIC(ctx context.Context, conn *quic.Conn) context.Context {
	leave := p.gate.enter(addressOf(conn.RemoteAddr().String()))
	if leave == nil {
		_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad), "too many connections")
		return ctx
	}
	context.AfterFunc(conn.Context(), leave)
	return ctx
}
