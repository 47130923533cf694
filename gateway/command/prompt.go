package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

const promptText = "nuage> "

// Prompt reads command lines from a terminal and runs them, until Ctrl-D, "exit" or the end of ctx. It returns the
// exit status of the session.
func Prompt(ctx context.Context, c Call) int {
	c = c.whole()
	c.TTY = true
	t := openTerminal(c)
	defer t.close()
	t.prompting = true
	if status := t.interruptible(ctx, func(ctx context.Context) int { return newJob(c, t).welcome(ctx) }); status != 0 {
		return status
	}
	for ctx.Err() == nil {
		line, err := t.typed(ctx, c)
		switch word := strings.TrimSpace(line); {
		case errors.Is(err, errInterrupted):
			_, _ = io.WriteString(t.out, "^C\r\n")
		case err != nil:
			_, _ = io.WriteString(t.out, "\r\n")
			return 0
		case word == "exit" || word == "quit" || word == "logout":
			return 0
		case word != "":
			t.interruptible(ctx, func(ctx context.Context) int { return newJob(c, t).do(ctx, line) })
		}
	}
	return 0
}

// typed reads one command line. The editor works on bytes that anybody may send: what breaks it loses the line.
func (t *terminal) typed(ctx context.Context, c Call) (line string, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.Cloud.Log.Error("prompt panicked", "account", c.Who.Account, "panic", p)
			line, err = "", errInterrupted
		}
	}()
	return t.readLine(ctx, promptText, t.history, newJob(c, t).completer(ctx))
}

func (j *job) welcome(ctx context.Context) int {
	a, err := j.Cloud.WhoAmI(ctx, j.Who)
	if err != nil {
		return Fail(j.Stderr, err, false)
	}
	fmt.Fprintf(j.Stdout, "Hello %s. Type help for the commands, TAB to complete them, exit to leave.\n", visible(a.Name))
	return 0
}
