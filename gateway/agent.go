package gateway

import (
	"context"
	"net"

	"plil.net/nuage/cloud"
)

// askAgent notes that the client lends its SSH agent to the program. Only a program in the site of the view gets it:
// in the account view there is none.
func (s *session) askAgent(payload []byte) bool {
	if len(payload) > 0 || s.site == "" || s.started || s.agent || s.bounds.noAgent {
		return false
	}
	s.agent = true
	return true
}

// lendAgent makes a socket in the site that leads to the client's agent, until ctx ends and give is called. What it
// cannot do it says: the program runs without.
func (s *session) lendAgent(ctx context.Context) (env []string, give func()) {
	l, err := s.cloud.Listen(ctx, s.who, s.site)
	if err != nil {
		s.tell("your agent is not forwarded: " + cloud.Explain(err, newRef).Message)
		return nil, func() {}
	}
	s.group.Go(func() { s.acceptAgents(ctx, l) })
	return []string{"SSH_AUTH_SOCK=" + l.Addr().String()}, func() { l.Close() }
}

// acceptAgents gives each program that connects a channel of its own.
func (s *session) acceptAgents(ctx context.Context, l net.Listener) {
	defer s.recovered("agent", s.ssh.RemoteAddr())
	for {
		inside, err := l.Accept()
		if err != nil {
			return
		}
		select {
		case s.agents <- struct{}{}:
		default: // the limit: of connections to the agents of one connection's sessions
			inside.Close()
			continue
		}
		s.group.Go(func() {
			defer func() { <-s.agents }()
			defer s.recovered("agent", s.ssh.RemoteAddr())
			s.askClient(ctx, inside.(cloud.Conn))
		})
	}
}

// askClient leads one connection to the client's agent. Only the end of the SSH connection ends a client that does not
// answer.
func (s *session) askClient(ctx context.Context, inside cloud.Conn) {
	defer context.AfterFunc(ctx, func() { inside.Close() })()
	channel, requests, err := s.ssh.OpenChannel("auth-agent@openssh.com", nil)
	if err != nil {
		inside.Close()
		return
	}
	join(channel, requests, inside)
}
