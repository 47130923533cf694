package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
)

// forwardTime is for a port in a site to answer, with the wake of the site.
const forwardTime = 40 * time.Second

// target is where a channel shall lead: a port or a socket, as a client names it.
type target struct{ network, address string }

// targets read the payloads of the channels that forward.
var targets = map[string]func(payload []byte) (target, bool){
	"direct-tcpip":                   parseDirectTCP,
	"direct-streamlocal@openssh.com": parseDirectSocket,
}

// parseDirectTCP reads RFC 4254 section 7.2.
func parseDirectTCP(payload []byte) (t target, ok bool) {
	var m struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	if ssh.Unmarshal(payload, &m) != nil || m.Port == 0 || m.Port > 65535 || len(m.Host) > maxUser || !printable(m.Host) || strings.ContainsAny(m.Host, "[]") {
		return t, false
	}
	return target{"tcp", net.JoinHostPort(m.Host, strconv.Itoa(int(m.Port)))}, true
}

// parseDirectSocket reads OpenSSH's PROTOCOL section 2.4.
func parseDirectSocket(payload []byte) (t target, ok bool) {
	var m struct {
		Path     string
		Reserved string
		Unused   uint32
	}
	if ssh.Unmarshal(payload, &m) != nil || len(m.Path) > maxPath {
		return t, false
	}
	return target{"unix", m.Path}, true
}

const maxPath = 4096

// openForward leads a channel to a port or socket inside the site of the view, and nowhere else. It does not wait.
func (c *conn) openForward(ctx context.Context, channel ssh.NewChannel) {
	to, ok := targets[channel.ChannelType()](channel.ExtraData())
	switch {
	case !ok:
		_ = channel.Reject(ssh.ConnectionFailed, "nuage: this is not the address of a port or socket")
		return
	case c.site == "":
		_ = channel.Reject(ssh.Prohibited, "nuage: only ports inside a site are forwarded: log in as SITE@"+c.cloud.Door.Host)
		return
	}
	if reason := c.admitForward(); reason != "" {
		_ = channel.Reject(ssh.ResourceShortage, "nuage: "+reason)
		return
	}
	c.group.Go(func() {
		defer c.dismissForward()
		defer c.recovered("forward", c.ssh.RemoteAddr())
		c.forward(ctx, channel, to)
	})
}

func (c *conn) forward(ctx context.Context, channel ssh.NewChannel, to target) {
	dialing, cancel := context.WithTimeout(ctx, forwardTime)
	defer cancel()
	inside, err := c.cloud.Dial(dialing, c.who, c.site, to.network, to.address)
	if err != nil {
		_ = channel.Reject(refusal(err))
		return
	}
	accepted, requests, err := channel.Accept()
	if err != nil {
		inside.Close()
		return
	}
	join(accepted, requests, inside)
}

// refusal is how a client hears why there is no connection.
func refusal(err error) (ssh.RejectionReason, string) {
	e := cloud.Explain(err, newRef)
	text := "nuage: " + e.Message
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	switch e.Kind {
	case cloud.Denied, cloud.Invalid:
		return ssh.Prohibited, text
	}
	return ssh.ConnectionFailed, text
}

// join copies both ways until both have ended, or the client has closed the channel. The end of one way is handed on
// alone: the other may still have much to say.
func join(channel ssh.Channel, requests <-chan *ssh.Request, inside cloud.Conn) {
	var copying sync.WaitGroup
	copying.Go(func() {
		ssh.DiscardRequests(requests) // until the channel is closed
		inside.Close()
	})
	var ways sync.WaitGroup
	ways.Go(func() {
		if _, err := io.Copy(inside, channel); err != nil {
			return // who is inside takes no more, and may still be talking
		}
		_ = inside.CloseWrite()
	})
	ways.Go(func() {
		if _, err := io.Copy(channel, inside); err != nil && !errors.Is(err, net.ErrClosed) {
			channel.Close() // a connection that broke shall not look like one that ended well
		}
		_ = channel.CloseWrite()
	})
	ways.Wait()
	_ = channel.Close()
	copying.Wait()
}

// admitForward counts a forward in, or says why not.
func (c *conn) admitForward() (reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closing:
		return "the gateway is restarting"
	case c.forwards >= c.limits.Forwards:
		return fmt.Sprintf("%d forwards are open on this connection, which is the limit", c.forwards)
	case !c.forwarding.add(c.who.Account, c.limits.AccountForwards):
		return fmt.Sprintf("%d forwards of this account are open, which is the limit", c.limits.AccountForwards)
	}
	c.forwards++
	return ""
}

func (c *conn) dismissForward() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forwards--
	c.used = c.now()
	c.forwarding.drop(c.who.Account)
}
