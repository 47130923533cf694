package gateway

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
)

// answers are the requests of a session that get a yes, if what they ask for is in order. All others get a no, X11
// forwarding among them.
var answers = map[string]func(s *session, payload []byte) bool{
	"auth-agent-req@openssh.com": (*session).askAgent,

	"env":           (*session).setEnv,
	"exec":          (*session).askExec,
	"pty-req":       (*session).setPTY,
	"shell":         (*session).askShell,
	"signal":        (*session).sendSignal,
	"subsystem":     (*session).askSubsystem,
	"window-change": (*session).resize,
}

// program is what a session runs. It returns the exit status.
type program func(ctx context.Context) int

// session is one session channel, which runs one program. Its fields belong to the goroutine that reads its
// requests, until the program starts; then they are only read.
type session struct {
	*conn
	channel ssh.Channel
	stdout  *stream
	stderr  *stream
	sizes   sizes
	signals names

	env      []string
	envBytes int
	term     string
	size     cloud.WindowSize
	tty      atomic.Bool // also read by tell
	asked    string      // the command line
	agent    bool
	chosen   program
	started  bool
	passed   atomic.Uint32 // bit n: signal n was passed on to the program

	finished sync.Once
	cut      context.CancelFunc // ends the program
	begun    time.Time
	used     atomic.Int64 // when something last went in or out, nanoseconds after begun
}

func (s *session) attach(channel ssh.Channel) {
	s.channel = inUse{channel, s.touch}
	s.stdout = &stream{w: s.channel}
	s.stderr = &stream{w: touching{channel.Stderr(), s.touch}}
}

// serve answers the requests of the channel until the client has closed it. It goes on after the program has
// ended, because requests that nobody reads stop the whole connection.
func (s *session) serve(ctx context.Context, requests <-chan *ssh.Request) {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for r := range requests {
		_ = r.Reply(s.answer(r), nil)
		if s.chosen != nil && !s.started {
			s.started = true
			running.Go(func() { s.finish(s.run(ctx)) })
		}
	}
}

func (s *session) answer(r *ssh.Request) bool {
	defer s.recovered("request "+r.Type, s.ssh.RemoteAddr())
	answer, known := answers[r.Type]
	return known && answer(s, r.Payload)
}

func (s *session) setPTY(payload []byte) bool {
	t, ok := parsePTY(payload)
	if !ok || s.started || s.tty.Load() || s.bounds.noTTY {
		return false
	}
	s.term, s.size = t.term, t.size
	s.tty.Store(true)
	return true
}

func (s *session) resize(payload []byte) bool {
	size, ok := parseWindow(payload)
	if !ok || !s.tty.Load() {
		return false
	}
	if !s.started {
		s.size = size
		return true
	}
	s.sizes.put(size)
	return true
}

func (s *session) setEnv(payload []byte) bool {
	variable, ok := parseEnv(payload)
	if !ok || s.started || len(s.env) >= maxEnv || s.envBytes+len(variable) > maxEnvBytes {
		return false
	}
	s.env = append(s.env, variable)
	s.envBytes += len(variable)
	return true
}

func (s *session) sendSignal(payload []byte) bool {
	name, ok := parseSignal(payload)
	if !ok || !s.started || !s.signals.put(name) {
		return false
	}
	s.passed.Or(1 << signals[name])
	return true
}

func (s *session) askExec(payload []byte) bool {
	line, ok := parseCommand(payload)
	s.asked = line
	return ok && s.choose(s.bounded(func(ctx context.Context) int { return s.execute(ctx, line) }, false))
}

func (s *session) askShell(payload []byte) bool {
	return len(payload) == 0 && s.choose(s.bounded(s.shell, false))
}

func (s *session) askSubsystem(payload []byte) bool {
	name, ok := parseSubsystem(payload)
	return ok && name == "sftp" && s.choose(s.bounded(s.sftp, true))
}

// choose takes the session's program, the first one that is asked for.
func (s *session) choose(p program) bool {
	if s.chosen != nil {
		return false
	}
	s.chosen = p
	return true
}

// finish ends the channel in the order that clients rely on: output, status, end of output, close. A client that has
// ended its input closes the channel when it hears of the end of output, and a status after that would be lost. Only
// the first status counts.
func (s *session) finish(status int) {
	s.finished.Do(func() {
		s.stdout.end()
		s.stderr.end()
		s.sendStatus(status)
		_ = s.channel.CloseWrite()
		_ = s.channel.Close()
	})
}

// sendStatus tells how the program ended. An engine gives 128+n both for a program that signal n ended and for one that
// exits so, as a shell does: where the client had that very signal sent, it is told of the signal, RFC 4254 section 6.10.
func (s *session) sendStatus(status int) {
	for name, n := range signals {
		if status == 128+n && s.passed.Load()&(1<<n) != 0 {
			end := struct {
				Signal            string
				Core              bool
				Message, Language string
			}{Signal: name}
			_, _ = s.channel.SendRequest("exit-signal", false, ssh.Marshal(end))
			return
		}
	}
	_, _ = s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
}

// talk is where the session's messages go. A terminal has but one stream.
func (s *session) talk() io.Writer {
	if s.tty.Load() {
		return s.stdout
	}
	return s.stderr
}

// tell says something to the person on the session. It blocks while the client takes no output.
func (s *session) tell(what string) {
	end := "\n"
	if s.tty.Load() {
		end = "\r\n"
	}
	_, _ = io.WriteString(s.talk(), "nuage: "+what+end)
}
