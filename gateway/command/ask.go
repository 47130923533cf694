package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"plil.net/nuage/cloud"
)

// ask reads a line at the terminal, with echo and editing of ours.
func (j *job) ask(ctx context.Context, question string) (string, error) {
	line, err := j.term.readLine(ctx, visible(question), &history{}, nil)
	if err != nil {
		return "", cloud.Errorf(cloud.Cancelled, "cancelled").Because(err)
	}
	return line, nil
}

// confirm lets the name of what is to be destroyed be typed, unless --yes says it all. what begins the question.
func (j *job) confirm(ctx context.Context, name, what string) error {
	switch {
	case j.is("yes"):
		return nil
	case j.term == nil:
		return cloud.Errorf(cloud.Usage, "%s needs --yes where nobody can be asked", j.command.name()).
			WithHint("%s", j.line(j.command.name()+" "+name+" --yes"))
	}
	typed, err := j.ask(ctx, fmt.Sprintf("%s Type %s to do it: ", what, name))
	if err != nil {
		return err
	}
	if typed != name {
		return cloud.Errorf(cloud.Invalid, "%q is not %q: nothing was deleted", typed, name)
	}
	return nil
}

// maxKey is a byte more than cloud accepts, so that it sees what is too long.
const maxKey = 16<<10 + 1

// readKey reads a public key: one line at a terminal, else all of stdin.
func (j *job) readKey(ctx context.Context) (string, error) {
	if j.term != nil {
		return j.ask(ctx, "Paste the public key (one line of a .pub file): ")
	}
	b, err := io.ReadAll(io.LimitReader(j.Stdin, maxKey))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", cloud.Errorf(cloud.Cancelled, "the key was cut off").Because(err)
	}
	return string(b), nil
}

// maxSecret is more than any password may have.
const maxSecret = 1 << 10

// withPassword puts in the place of "password=-" what is typed, unseen, at a terminal, or else the first line of stdin.
func (j *job) withPassword(ctx context.Context, pairs []string) ([]string, error) {
	const asked = "password=-"
	for i, pair := range pairs {
		if pair != asked {
			continue
		}
		password, err := j.readSecret(ctx)
		if err != nil {
			return nil, err
		}
		if password == "" {
			return nil, cloud.Errorf(cloud.Invalid, "no password was given").WithHint("to remove it, write password=")
		}
		pairs = slices.Clone(pairs)
		pairs[i] = strings.TrimSuffix(asked, "-") + password
		return pairs, nil
	}
	return pairs, nil
}

func (j *job) readSecret(ctx context.Context) (string, error) {
	if j.term != nil {
		secret, err := j.term.readSecret(ctx, "Password: ")
		if err != nil {
			return "", cloud.Errorf(cloud.Cancelled, "cancelled").Because(err)
		}
		return secret, nil
	}
	b, err := io.ReadAll(io.LimitReader(j.Stdin, maxSecret))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", cloud.Errorf(cloud.Cancelled, "the password was cut off").Because(err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}
