package gateway

import (
	"context"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
)

// conn is one connection that has logged in.
type conn struct {
	*Gateway
	ssh      *ssh.ServerConn
	channels <-chan ssh.NewChannel
	requests <-chan *ssh.Request
	who      cloud.Who
	bounds   bounds        // of the certificate that it logged in with
	site     string        // the site view's, "" in the account view
	gone     chan struct{} // closed when the client is
	proofs   int           // of host keys, given
	line     *line
	agents   chan struct{} // one for each connection to the client's agent
	remote   atomic.Bool   // the client asked for -R, and was not told yet why it got a no

	mu       sync.Mutex
	sessions map[*session]bool
	forwards int
	used     time.Time // when the last session or forward ended
	leaving  bool      // it ends with its last session
	closing  bool      // it does, and no more of them begin
	group    sync.WaitGroup
}

// login does the handshake. It returns nil for a client that has not logged in within the time for it.
func (g *Gateway) login(ctx context.Context, raw net.Conn) (c *conn) {
	defer func() {
		g.logins.leave(raw)
		if c == nil {
			raw.Close()
		}
	}()
	defer g.recovered("login", raw.RemoteAddr())
	accepting := ctx
	ctx, deadline := newDeadline(ctx, g.limits.Login)
	defer deadline.stop()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	line, version := listen(raw)
	client := watched{line, deadline.end}
	config, l := g.authenticator(ctx, raw, deadline)
	config.Ciphers = ciphersFor(version, config.Ciphers)
	signed, channels, requests, err := ssh.NewServerConn(client, config)
	if err != nil {
		if g.log.Debug("no login", "address", raw.RemoteAddr(), "err", err); accepting.Err() == nil {
			g.missed(raw, l)
		}
		return nil
	}
	line.in.Store(true)
	g.sources.welcome(raw.RemoteAddr())
	who, ok := signed.Permissions.ExtraData[identity{}].(cloud.Who)
	if !ok {
		g.log.Error("login without an identity", "address", raw.RemoteAddr())
		return nil
	}
	c = &conn{
		Gateway: g, ssh: signed, channels: channels, requests: requests, who: who,
		gone: make(chan struct{}), line: line, agents: make(chan struct{}, g.limits.Agents),
		sessions: map[*session]bool{}, used: g.now(),
	}
	c.bounds, _ = signed.Permissions.ExtraData[bounds{}].(bounds)
	c.site, _ = g.cloud.SiteOf(signed.User())
	g.log.Info("login", "account", who.Account, "key", who.Key, "address", who.Address, "site", c.site)
	return c
}

// live is the life of a connection after its login. The end of accepting ends it once its sessions are done; the end
// of living cuts them.
func (c *conn) live(living context.Context, accepting <-chan struct{}) {
	defer c.recovered("connection", c.ssh.RemoteAddr())
	ctx, cancel := context.WithCancel(living)
	defer c.group.Wait()
	defer c.close()
	defer cancel()
	defer close(c.gone)
	if !c.enter(c) {
		c.log.Warn("too many connections of an account", "account", c.who.Account, "limit", c.limits.Connections)
		return
	}
	defer c.leave(c)
	if err := c.cloud.Still(ctx, c.who); err != nil { // shut out before there was anything to hang up on
		return
	}
	defer c.underCertificate(ctx)()
	c.group.Go(func() { c.keepAlive(ctx) })
	c.meter.Login("ok")
	c.cloud.LoggedIn(c.who, c.site)
	c.announceHostKeys()
	c.serve(ctx, accepting)
}

func (c *conn) close() { _ = c.ssh.Close() }

// serve answers what the client asks of the connection until it is gone.
func (c *conn) serve(ctx context.Context, accepting <-chan struct{}) {
	channels, requests := c.channels, c.requests
	for channels != nil || requests != nil {
		select {
		case channel, ok := <-channels:
			if !ok {
				channels = nil
				continue
			}
			c.open(ctx, channel)
		case r, ok := <-requests:
			if !ok {
				requests = nil
				continue
			}
			_ = r.Reply(c.answer(r)) // keepalive@openssh.com wants an answer
		case <-accepting:
			accepting = nil
			c.group.Go(c.tellAndClose)
		}
	}
}

func (c *conn) open(ctx context.Context, channel ssh.NewChannel) {
	kind := channel.ChannelType()
	if c.bounds.noForward && kind != "session" {
		_ = channel.Reject(ssh.Prohibited, "nuage: the certificate of this login does not permit it")
		return
	}
	if reason := c.outlived(); reason != "" {
		_ = channel.Reject(ssh.Prohibited, reason)
		return
	}
	switch kind {
	case "session":
		c.openSession(ctx, channel)
	case "direct-tcpip", "direct-streamlocal@openssh.com":
		c.openForward(ctx, channel)
	default:
		_ = channel.Reject(ssh.UnknownChannelType, "nuage: only sessions and forwards into a site are served here")
	}
}

func (c *conn) openSession(ctx context.Context, channel ssh.NewChannel) {
	ctx, cut := context.WithCancel(ctx)
	s := &session{conn: c, sizes: newSizes(), signals: newNames(), cut: cut, begun: c.now()}
	if reason := c.admit(s); reason != "" {
		cut()
		_ = channel.Reject(ssh.ResourceShortage, "nuage: "+reason)
		return
	}
	accepted, requests, err := channel.Accept()
	if err != nil {
		cut()
		c.dismiss(s)
		return
	}
	s.attach(accepted)
	c.group.Go(func() {
		defer c.dismiss(s)
		defer cut()
		s.serve(ctx, requests)
	})
}

// admit counts a session in, or says why not.
func (c *conn) admit(s *session) (reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closing:
		return "the gateway is restarting"
	case len(c.sessions) >= c.limits.Sessions:
		return fmt.Sprintf("%d sessions are open on this connection, which is the limit", len(c.sessions))
	case !c.count(c.who.Account, +1):
		return fmt.Sprintf("%d sessions of this account are open, which is the limit", c.limits.AccountSessions)
	}
	c.sessions[s] = true
	c.meter.Session(+1)
	return ""
}

func (c *conn) dismiss(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sessions, s)
	c.meter.Session(-1)
	c.used = c.now()
	c.count(c.who.Account, -1)
	if (c.closing || c.leaving) && len(c.sessions) == 0 {
		c.close()
	}
}

// hangUp closes the connection of who may do nothing any more, once its sessions have said why they end. The first moment
// is for the answer to who took away the very key in use.
func (c *conn) hangUp() {
	if !within(c.gone, hangUpAfter) && c.endWithLast() {
		within(c.gone, lastWords)
	}
	c.close()
}

// endWithLast has the connection end with its last session, and reports whether there is one.
func (c *conn) endWithLast() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	return len(c.sessions) > 0
}

// tellAndClose lets no more sessions in, tells those there are, and closes the connection if there are none.
func (c *conn) tellAndClose() {
	for _, s := range c.shut() {
		c.group.Go(func() { s.tell("the gateway is restarting") })
	}
}

func (c *conn) shut() (open []*session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	for s := range c.sessions {
		open = append(open, s)
	}
	if len(open) == 0 {
		c.close()
	}
	return open
}

// recovered keeps a panic from ending the gateway.
func (g *Gateway) recovered(in string, address net.Addr) {
	if p := recover(); p != nil {
		g.log.Error("panic", "ref", newRef(), "in", in, "address", address, "panic", p, "stack", string(debug.Stack()))
	}
}
