package builtin

import (
	"net"
	"net/netip"
	"sync"
	"syscall"

	proxyproto "github.com/pires/go-proxyproto"
)

// gate bounds the connections that are open, of all and of each address; who is one too many is closed at once, before
// anything is read. Proxies in front of us, which tell by the PROXY protocol for whom they speak, are one address for many
// visitors: they are bounded by the sum alone.
type gate struct {
	limits  *limits // the proxy's
	proxies []netip.Prefix
	behind  bool // all come from a proxy on this host
	tally   tally
}

// filesPerConnection is what a connection may need of open files: itself, one to a container, a pipe between them.
const filesPerConnection = 4

// fit lowers the number of connections to what the process may have open.
func (l limits) fit() limits {
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil {
		l.connections = min(l.connections, max(64, int(min(files.Cur, 1<<30))/filesPerConnection))
	}
	return l
}

// listen passes on the connections of l that are not too many, each as coming from its visitor.
func (g *gate) listen(l net.Listener) net.Listener {
	if l == nil {
		return nil
	}
	l = &gated{l, g}
	if len(g.proxies) == 0 {
		return l
	}
	return &proxyproto.Listener{
		Listener: l, ReadHeaderTimeout: g.limits.readHeader,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if g.isProxy(addressOf(o.Upstream.String())) {
				return proxyproto.USE, nil
			}
			return proxyproto.SKIP, nil // a stranger's header is a request like any other, and a bad one
		},
	}
}

func (g *gate) isProxy(a netip.Addr) bool {
	for _, p := range g.proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

type gated struct {
	net.Listener
	gate *gate
}

func (l *gated) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if leave := l.gate.enter(addressOf(c.RemoteAddr().String())); leave != nil {
			return passed(c, leave), nil
		}
		c.Close()
	}
}

// everybody is no address.
const everybody = "*"

// enter counts a connection until leave is called; nil: it is one too many.
func (g *gate) enter(from netip.Addr) (leave func()) {
	if !g.tally.enter(everybody, g.limits.connections) {
		return nil
	}
	if g.behind || g.isProxy(from) {
		return func() { g.tally.leave(everybody) }
	}
	who := network(from)
	if !g.tally.enter(who, g.limits.perAddress) {
		g.tally.leave(everybody)
		return nil
	}
	return func() { g.tally.leave(who); g.tally.leave(everybody) }
}

// passed is a connection that leaves when it is closed. One of TCP still is, for the kernel to send files.
func passed(c net.Conn, leave func()) net.Conn {
	if t, ok := c.(*net.TCPConn); ok {
		return &passedTCP{TCPConn: t, leave: sync.OnceFunc(leave)}
	}
	return &passedConn{Conn: c, leave: sync.OnceFunc(leave)}
}

type passedTCP struct {
	*net.TCPConn
	leave func()
}

func (c *passedTCP) Close() error { defer c.leave(); return c.TCPConn.Close() }

type passedConn struct {
	net.Conn
	leave func()
}

func (c *passedConn) Close() error { defer c.leave(); return c.Conn.Close() }

// tally counts what is there, by name. The zero value is ready.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

// enter counts one more, unless there are as many as there may be.
func (t *tally) enter(name string, most int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = map[string]int{}
	}
	if t.n[name] >= most {
		return false
	}
	t.n[name]++
	return true
}

func (t *tally) leave(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n[name]--; t.n[name] <= 0 {
		delete(t.n, name)
	}
}

// addressOf is the address in a "host:port", the zero one if there is none.
func addressOf(hostport string) netip.Addr {
	a, _ := netip.ParseAddrPort(hostport)
	return a.Addr().Unmap().WithZone("")
}

// network is who counts as one client: an IPv4 address, or the /64 that one customer has of IPv6.
func network(a netip.Addr) string {
	if !a.Is6() {
		return a.String()
	}
	p, _ := a.Prefix(64)
	return p.String()
}
