package command

import (
	"context"
	"slices"

	"plil.net/nuage/cloud"
)

func shellCommands() []command {
	name := arg{name: "NAME", is: aSite}
	return []command{
		{
			verb: "shell", who: users, args: []arg{name}, terminal: true,
			short: "a shell in a website's container",
			long: "Opens a login shell in the site's container, in its home. Without a terminal the shell reads its " +
				"commands from standard input. The status of the shell is passed on. Only php sites have a shell.",
			examples: []string{"shell blog"},
			run:      func(ctx context.Context, j *job) error { return j.exec(ctx, []string{"/bin/bash", "-l"}) },
		},
		{
			verb: "run", who: users, args: []arg{name, {name: "-- CMD", many: true}}, verbatim: true,
			short: "run one program in a website's container",
			long: "Runs CMD in the site's container, in its home, with its words as they are: no shell takes part. " +
				"Standard input, output and the exit status are those of the program.",
			examples: []string{"run blog -- php -v", "run blog -- ls -l www"},
			run:      func(ctx context.Context, j *job) error { return j.exec(ctx, j.args[1:]) },
		},
	}
}

// exec gives the streams to a program in the site's container, raw.
func (j *job) exec(ctx context.Context, argv []string) error {
	progress := j.progress()
	defer progress.End()
	x := cloud.Exec{
		Argv: argv, Env: j.Env, Progress: progress.Step, TTY: j.TTY, Size: j.Size,
		Stdin: j.raw.Stdin, Stdout: j.raw.Stdout, Stderr: j.raw.Stderr, Resize: j.Resize, Signals: j.Signals,
	}
	if j.term != nil {
		stdin, resized, done := j.term.lend(ctx)
		defer done()
		x.Stdin, x.Resize, x.Size = stdin, resized, j.term.window()
		if j.Term != "" {
			x.Env = append(slices.Clone(j.Env), "TERM="+j.Term)
		}
	}
	code, err := j.Cloud.Exec(ctx, j.Who, j.arg(0), x)
	if err == nil && code != 0 {
		return status(code)
	}
	return err
}
