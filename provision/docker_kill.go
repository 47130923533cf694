package provision

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"plil.net/nuage/cloud"
)

// The daemon never kills what an exec started, and its API has no verb for it: a second exec does it, by a
// script that finds the first one by a mark in its environment.
//
//go:embed session.sh
var sessionScript string

const markEnv = "NUAGE_SESSION"

const (
	polite    = 2 * time.Second  // from the first signals to KILL
	killLimit = 10 * time.Second // from then to stopping the container
	passLimit = 5 * time.Second  // for one run of the script
)

// hangup ends what listens to any of them: an interactive shell ignores TERM, nohup ignores HUP, and a stopped
// job hears nothing before CONT.
const hangup = "HUP TERM CONT"

// passed are the signals that a client may send, RFC 4254 section 6.10 and two that OpenSSH adds or users try.
var passed = []string{"ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2", "INFO", "WINCH"}

// signals passes signals on to the process group of the program, as sshd does.
func (s *session) signals(ctx context.Context, names <-chan string) {
	for {
		select {
		case <-ctx.Done():
			return
		case name, ok := <-names:
			if !ok {
				return
			}
			if !slices.Contains(passed, name) {
				continue
			}
			if err := s.deliver(ctx, name); err != nil && ctx.Err() == nil {
				s.d.Log.Debug("signal not delivered", "signal", name, "err", err)
			}
		}
	}
}

// deliver waits for the program to be there: a signal may come while it starts.
func (s *session) deliver(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, passLimit)
	defer cancel()
	for {
		leader, _, err := s.pass(ctx, "", name, "group")
		if err != nil || leader != "" || !s.live(ctx) {
			return err
		}
		if err := pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// kill ends the session: politely, then by force, and if nothing can be done inside (a site at its limit of
// processes may refuse even that), by stopping the container.
func (s *session) kill() {
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), killLimit+passLimit)
	defer cancel()
	leader, signals := "", hangup
	for every := 20 * time.Millisecond; time.Since(start) < killLimit; every = min(2*every, 500*time.Millisecond) {
		if time.Since(start) >= polite {
			signals = "KILL"
		}
		found, left, err := s.pass(ctx, leader, signals, "session")
		switch {
		case errdefs.IsConflict(err), errdefs.IsNotFound(err): // the container has stopped
			return
		case err == nil && left == 0 && !s.live(ctx):
			return
		case err == nil && found != "":
			leader, signals = found, ""
		}
		_ = pause(ctx, every)
		for leader != "" && time.Since(start) < polite && s.live(ctx) { // cheaper than a pass
			_ = pause(ctx, dialEvery)
		}
	}
	s.d.Log.Warn("session could not be killed: stopping its container", "container", s.container)
	if _, err := s.d.api.ContainerKill(ctx, s.container, client.ContainerKillOptions{Signal: "KILL"}); err != nil && !errdefs.IsConflict(err) && !errdefs.IsNotFound(err) {
		s.d.Log.Error("container not killed", "container", s.container, "err", err)
	}
}

// live reports whether the program runs or is about to.
func (s *session) live(ctx context.Context) bool {
	i, err := s.d.api.ExecInspect(ctx, s.exec, client.ExecInspectOptions{})
	if err != nil {
		return !errdefs.IsNotFound(err) && !errdefs.IsConflict(err)
	}
	starting := i.PID == 0 && i.ExitCode == 0
	return i.Running || starting
}

// pass runs the script once.
func (s *session) pass(ctx context.Context, leader, signals, scope string) (found string, left int, err error) {
	ctx, cancel := context.WithTimeout(ctx, passLimit)
	defer cancel()
	made, err := s.d.api.ExecCreate(ctx, s.container, client.ExecCreateOptions{
		User: s.user, AttachStdout: true, AttachStderr: true,
		Cmd: []string{"/bin/sh", "-c", sessionScript, "sh", s.mark, leader, signals, scope},
	})
	if err != nil {
		return "", 0, err
	}
	conn, err := s.d.api.ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
	if err != nil {
		return "", 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, conn.Close)()
	var out, complaint bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &complaint, conn.Reader); err != nil {
		return "", 0, err
	}
	if _, err := fmt.Sscanf(out.String(), "%s %d", &found, &left); err != nil {
		return "", 0, cloud.Errorf(cloud.Internal, "session script failed").
			Because(errors.New(out.String() + complaint.String()))
	}
	if found == "-" {
		found = ""
	}
	return found, left, nil
}
