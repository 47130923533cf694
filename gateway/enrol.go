package gateway

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
)

// How a person without a known key gets in, where there is a school login (cloud.School):
//
// A. A key that nobody knows signs. That is a part of a success: what else may follow is a key that is known, for people
// with many, or keyboard-interactive, which leads to the school. The key that signed is then the person's.
//
// B. The SSH user "enrol" is asked to log in at the school first, and then for a key: for people with keys that are known,
// or that never come to be asked.

// strange takes a key that nobody knows; the school may.
func (l *login) strange(key ssh.PublicKey) (*ssh.Permissions, error) {
	if _, err := cloud.ParseKey(authorized(key)); err != nil {
		return nil, l.once(cloud.Explain(err, newRef))
	}
	return onceSigned(func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		return nil, l.toSchool(key, cloud.Errorf(cloud.Denied, "nobody here has your key %s", ssh.FingerprintSHA256(key)))
	}), nil
}

// toSchool leads on from a key that has signed.
func (l *login) toSchool(key ssh.PublicKey, why *cloud.Error) error {
	l.visiting = true
	l.tell(told(why.WithHint("log in with your school account at the prompt; if none appears, in a terminal: %s", l.cloud.Door.Enrol())))
	return &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{
		PublicKeyCallback: l.offered,
		KeyboardInteractiveCallback: func(conn ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			person, err := l.visit(conn, ask, ssh.FingerprintSHA256(key))
			if err != nil {
				return nil, err
			}
			return l.bind(conn, person, key)
		},
	}}
}

// unasked answers the first request of every client, for no authentication at all. Only "enrol" leads on from it.
func (l *login) unasked(conn ssh.ConnMetadata) (*ssh.Permissions, error) {
	if conn.User() != cloud.Enroller {
		return nil, ssh.ErrNoAuth
	}
	l.visiting = true
	l.tell("nuage: log in with your school account at the prompt, then with your key (no prompt? this is no terminal)\n" +
		"hint: if you have no key, make one first: ssh-keygen -t ed25519\n")
	return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{
		KeyboardInteractiveCallback: func(conn ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			person, err := l.visit(conn, ask, "the one you log in with next")
			if err != nil {
				return nil, err
			}
			return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{
				PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
					if _, err := cloud.ParseKey(authorized(key)); err != nil {
						return nil, banner(cloud.Explain(err, newRef))
					}
					return onceSigned(func(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
						return l.bind(conn, person, key)
					}), nil
				},
			}}
		},
	}}
}

// keyless tells somebody who came to keyboard-interactive without a key that has signed.
func (l *login) keyless(ssh.ConnMetadata, ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	return nil, l.once(cloud.Errorf(cloud.Denied, "your program offered no key").
		WithHint("make one with ssh-keygen -t ed25519 (PuTTY: puttygen) and try again; if you have one, name it with -i FILE"))
}

// bind gives the key that has signed to the account of the person.
func (l *login) bind(conn ssh.ConnMetadata, person cloud.Person, key ssh.PublicKey) (*ssh.Permissions, error) {
	who, err := l.cloud.Enrol(l.ctx, person, authorized(key), conn.RemoteAddr().String())
	if err != nil {
		return nil, l.refused(err)
	}
	l.tell(fmt.Sprintf("nuage: welcome, %s: the key %s (from %s) now lets you in\n", who.Account, who.Key, hostOf(conn)))
	return l.welcome(who), nil
}

// visit has somebody log in at the school. It is told once a connection how that ended.
func (l *login) visit(conn ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge, key string) (cloud.Person, error) {
	if l.visited {
		return cloud.Person{}, ssh.ErrNoAuth
	}
	l.visited = true
	from, _ := sourceOf(conn.RemoteAddr())
	leave, err := l.visitors.enter(from, l.deadline.end)
	if err != nil {
		return cloud.Person{}, l.refused(err)
	}
	defer leave()
	invitation, err := l.cloud.Invite(l.ctx)
	if err != nil {
		return cloud.Person{}, l.refused(err)
	}
	l.logins.leave(l.raw) // who waits for the school stands in no other line
	l.deadline.extend(invitation.Expires.Add(afterCode))
	person, err := await(l.ctx, invitation, func() error { return l.show(ask, invitation, key, hostOf(conn)) })
	if err != nil {
		return person, l.refused(err)
	}
	return person, nil
}

// afterCode is what is left of a login after its code has expired: to be told so, or to sign.
const afterCode = 30 * time.Second

// await waits for the school while the person looks at the prompt.
func await(ctx context.Context, invitation cloud.Invitation, prompt func() error) (person cloud.Person, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	asking.Go(func() { person, err = invitation.Wait(ctx) })
	promptErr := prompt()
	if promptErr != nil {
		cancel()
	}
	asking.Wait()
	cancel()
	if promptErr != nil {
		return person, promptErr
	}
	return person, err
}

const maxQuestions = 5 // prompts of one login

// show asks the person to log in and to come back. The prompt has all that is needed, because "ssh -q" shows nothing
// else. The code for cameras comes on demand: whether a terminal has its characters, only the person sees.
func (l *login) show(ask ssh.KeyboardInteractiveChallenge, i cloud.Invitation, key, address string) error {
	text := fmt.Sprintf("Log in with your school account, in any browser:\n\n    %s\n    code: %s\n\nkey:  %s\nfrom: %s\n"+
		"Go on only if it was you who typed ssh just now: a link like this that\nsomebody sends you is for getting into your account. It is good until\n%s.\n",
		i.Link, i.Code, key, address, i.Expires.UTC().Format("15:04 MST"))
	prompt := fmt.Sprintf("Open %s, enter the code %s, then press Enter here (q: QR code): ", i.Link, i.Code)
	for range maxQuestions {
		answers, err := ask("", text, []string{prompt}, []bool{true})
		if err != nil {
			return err
		}
		if len(answers) != 1 || !strings.EqualFold(strings.TrimSpace(answers[0]), "q") {
			return nil
		}
		l.tell(qrCode(i))
		text = ""
	}
	return nil
}

func authorized(key ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(key)) }

func hostOf(conn ssh.ConnMetadata) string {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return conn.RemoteAddr().String()
	}
	return host
}
