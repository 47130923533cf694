package command

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/pflag"

	"plil.net/nuage/cloud"
)

// Call is for whom and with what a command line runs.
type Call struct {
	Cloud *cloud.Cloud
	Who   cloud.Who

	// Stdin may still be read from when Run or Prompt has returned: what ends that is that the read fails.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Progress       io.Writer // where a person who waits is told why; nil: there is nobody

	// TTY says that the streams are a terminal in raw mode: there is no echo and no line editing but ours.
	TTY  bool
	Term string           // its type, as in $TERM
	Env  []string         // NAME=value, for programs in a site
	Size cloud.WindowSize // zero if unknown
	// Resize and Signals may be nil. Resize is drained; Signals go to programs in a site.
	Resize  <-chan cloud.WindowSize
	Signals <-chan string
}

// Run runs one command line, as it came over the wire, and returns its exit status. Nothing in it is expanded.
// An empty line is help. Run never panics.
func Run(ctx context.Context, c Call, line string) int {
	c = c.whole()
	if !c.TTY {
		return newJob(c, nil).do(ctx, line)
	}
	t := openTerminal(c)
	defer t.close()
	return t.interruptible(ctx, func(ctx context.Context) int { return newJob(c, t).do(ctx, line) })
}

// whole fills in the streams that are missing.
func (c Call) whole() Call {
	if c.Stdin == nil {
		c.Stdin = strings.NewReader("")
	}
	if c.Stdout == nil {
		c.Stdout = io.Discard
	}
	if c.Stderr == nil {
		c.Stderr = io.Discard
	}
	return c
}

// job is one command line on its way through the table. Its Stdout and Stderr are fit to print text on.
type job struct {
	Call
	raw   Call // as it came, for programs
	table table
	term  *terminal // nil without a TTY
	json  bool

	command *command
	topic   []string // what the words led to, for help
	args    []string
	flags   *pflag.FlagSet
}

func newJob(c Call, t *terminal) *job {
	j := &job{Call: c, raw: c, table: newTable(), term: t}
	j.Stdout, j.Stderr = client{c.Stdout}, client{c.Stderr}
	if t != nil {
		j.Stdout, j.Stderr = &lines{to: j.Stdout}, &lines{to: j.Stderr}
	}
	return j
}

// newTable panics on a row that check refuses: a test finds it first.
func newTable() table {
	t := commands()
	for i := range t {
		if err := t[i].check(); err != nil {
			panic(err)
		}
	}
	return t
}

// status is the exit status of somebody else's program.
type status int

func (s status) Error() string { return "exit status" }

func (j *job) do(ctx context.Context, line string) (exit int) {
	defer func() {
		if p := recover(); p != nil {
			exit = Fail(j.Stderr, j.broken("command panicked", "panic", p, "stack", string(debug.Stack())), j.json)
		}
	}()
	err := j.run(ctx, line)
	var s status
	switch {
	case err == nil:
		return 0
	case errors.As(err, &s):
		return int(s)
	case ctx.Err() != nil:
		err = cloud.Errorf(cloud.Cancelled, "cancelled").Because(err)
	case cloud.KindOf(err) == cloud.Internal && !shown(err):
		err = j.broken("command failed", "err", err)
	}
	if j.term != nil && j.term.wasInterrupted() {
		return cloud.Cancelled.Exit() // who typed Ctrl-C knows
	}
	return Fail(j.Stderr, err, j.json)
}

// shown reports whether err has a form for people already.
func shown(err error) bool {
	var e *cloud.Error
	return errors.As(err, &e) && e.Ref != ""
}

// broken logs what should not have happened and returns it in a form that may be shown.
func (j *job) broken(what string, details ...any) error {
	b := make([]byte, 3)
	_, _ = rand.Read(b) // never fails
	ref := hex.EncodeToString(b)
	j.Cloud.Log.Error(what, append([]any{"ref", ref, "account", j.Who.Account}, details...)...)
	return cloud.Explain(errors.New(what), func() string { return ref })
}

func (j *job) run(ctx context.Context, line string) error {
	words, err := split(line)
	j.json = wantsJSON(words)
	if err != nil {
		return j.unsplit(err)
	}
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	help, err := j.parse(words)
	if err == nil && j.given("as") {
		j.Who, err = j.Cloud.As(ctx, j.Who, j.flag("as"))
	}
	switch {
	case err != nil:
		return err
	case help:
		return j.helpOn(ctx, j.topic)
	}
	return j.command.run(ctx, j)
}

// arg is the nth argument, "" if it is not given.
func (j *job) arg(n int) string {
	if n < len(j.args) {
		return j.args[n]
	}
	return ""
}

// flag is the value of a flag, "" if it is not given.
func (j *job) flag(name string) string {
	if f := j.flags.Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}

func (j *job) given(name string) bool { return j.flags.Changed(name) }

// is reports whether a switch is on.
func (j *job) is(name string) bool { return j.flag(name) == "true" }

// line is what to type to run a command of ours: here at the prompt, or at home with ssh, where files are. The operator
// of the host has no key for ssh.
func (j *job) line(command string) string {
	switch {
	case j.term != nil && j.term.prompting && !strings.ContainsAny(command, "<>"):
		return command
	case j.Who.Account == cloud.Operator:
		return strings.TrimSpace("nuage ctl " + command)
	}
	return j.Cloud.Door.SSH(command)
}

// lineOf is line for a row of the table, with a terminal where the command needs one.
func (j *job) lineOf(c *command, text string) string {
	s := j.line(text)
	if c.terminal && s != text && !strings.HasSuffix(text, " --yes") {
		s = strings.Replace(s, "ssh ", "ssh -t ", 1)
	}
	return s
}

// mine is the account that --account names, else one's own.
func (j *job) mine() string {
	if a := j.flag("account"); a != "" {
		return a
	}
	return j.Who.Account
}

// isAdmin says what to show; what is allowed is decided by cloud.
func (j *job) isAdmin(ctx context.Context) bool {
	a, err := j.Cloud.WhoAmI(ctx, j.Who)
	return err == nil && a.IsAdmin()
}
