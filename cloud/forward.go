package cloud

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
)

// Dial connects to a port (network "tcp", "host:port") or a socket (network "unix", a path) inside a site; see
// [Engine.Dial]. It wakes the site, and keeps it awake until the connection is closed. Denied for a host that is not the
// site itself: no name is looked up, and nothing outside is ever reached.
func (c *Cloud) Dial(ctx context.Context, who Who, name, network, address string) (conn Conn, err error) {
	err = c.doSiteAbout(ctx, who, SiteForward, name, "", func(_ Account, s Site, e *Event) error {
		e.Detail = address
		addresses := []string{address}
		if network == "tcp" {
			if addresses, err = addressesIn(s, address); err != nil {
				return err
			}
		}
		if s.Type != PHP {
			return Errorf(Invalid, "%q is a static site: nothing listens in it", s.Name).
				WithHint("give it a web server of its own: %s", c.Door.SSH("site set "+s.Name+" type=php"))
		}
		release, err := c.holdContainer(ctx, s, nil)
		if err != nil {
			return err
		}
		for _, a := range addresses {
			if conn, err = c.Engine.Dial(ctx, s.ID, network, a); err == nil {
				conn = held{conn, c.heldBy(ctx, who, SiteForward, s, conn, release)}
				return nil
			}
		}
		release()
		return err
	})
	return conn, err
}

// Listen makes a socket inside a site, for the agent of somebody who is at work there; see [Engine.Listen]. The site
// stays awake until it is closed.
func (c *Cloud) Listen(ctx context.Context, who Who, name string) (l net.Listener, err error) {
	err = c.doSite(ctx, who, SiteAgent, name, func(_ Account, s Site) error {
		release, err := c.holdContainer(ctx, s, nil)
		if err != nil {
			return err
		}
		if l, err = c.Engine.Listen(ctx, s.ID); err != nil {
			release()
			return err
		}
		l = heldListener{l, c.heldBy(ctx, who, SiteAgent, s, l, release)}
		return nil
	})
	return l, err
}

// heldBy closes what was opened as soon as the account may no longer use it. What it returns gives all back.
func (c *Cloud) heldBy(ctx context.Context, who Who, action Action, s Site, open io.Closer, release func()) func() {
	leased, done := c.Lease(context.WithoutCancel(ctx), who, action, s)
	stop := context.AfterFunc(leased, func() { open.Close() })
	return sync.OnceFunc(func() {
		stop()
		done()
		release()
	})
}

// addressesIn are what "host:port" stands for in a site, in the order to try.
func addressesIn(s Site, address string) ([]string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, Errorf(Invalid, "%q is not of the form HOST:PORT", address)
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "localhost" {
		return []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)}, nil
	}
	if name == s.Name || name == Hostname {
		return []string{net.JoinHostPort(s.Address.String(), port)}, nil
	}
	ip, err := netip.ParseAddr(host)
	if ip = ip.Unmap(); err == nil && ip.Zone() == "" && (ip.IsLoopback() || ip == s.Address) {
		return []string{net.JoinHostPort(ip.String(), port)}, nil
	}
	return nil, Errorf(Denied, "only ports inside the site: %q is not", host).WithHint("name it localhost:%s", port)
}

// held is a connection that keeps its site awake.
type held struct {
	Conn
	release func()
}

func (h held) Close() error {
	defer h.release()
	return h.Conn.Close()
}

type heldListener struct {
	net.Listener
	release func()
}

func (h heldListener) Close() error {
	defer h.release()
	return h.Listener.Close()
}
