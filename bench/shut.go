package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// shut is the time from the answer to "account disable" until the last of what the account had open is closed.
func (s *stage) shut() ([]row, error) {
	if err := command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.path("shut")); err != nil {
		return nil, err
	}
	public, err1 := os.ReadFile(s.path("shut.pub"))
	private, err2 := os.ReadFile(s.path("shut"))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		return nil, err
	}
	known := &ssh.ClientConfig{
		Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 20 * time.Second,
	}
	if err := s.ctl(public, "account", "add", "shut", "--admin", "--key", "-"); err != nil {
		return nil, err
	}
	var took sample
	for range s.runs(10) {
		seconds, err := s.shutOnce(known)
		if err != nil {
			return nil, err
		}
		took = append(took, seconds)
	}
	return []row{{
		name: "an account with 32 open sessions (SFTP, followed audits) is disabled: until the last is closed",
		ours: took, peerName: "–", unit: "s", goal: 1, absolute: true,
	}}, nil
}

func (s *stage) shutOnce(known *ssh.ClientConfig) (seconds float64, err error) {
	if err := s.ctl(nil, "account", "enable", "shut"); err != nil {
		return 0, err
	}
	const sessions = 32
	closed := make(chan error, sessions)
	for i := range sessions {
		c, err := ssh.Dial("tcp", "127.0.0.1:"+s.sshPort, known)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		session, err := c.NewSession()
		if err != nil {
			return 0, err
		}
		out, err := session.StdoutPipe()
		if err != nil {
			return 0, err
		}
		begin := func() error { return session.RequestSubsystem("sftp") }
		if i%2 == 1 {
			begin = func() error { return session.Start("audit -f") }
		}
		if err := begin(); err != nil {
			return 0, err
		}
		go func() { _, err := io.Copy(io.Discard, out); closed <- err }()
	}
	disable, answer := exec.Command("bin/nuage", "ctl", "--data", s.path("data"), "account", "disable", "shut"), newFirst()
	disable.Stdout, disable.Stderr = answer, answer
	if err := disable.Start(); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, disable.Wait()) }()
	<-answer.came
	return timed(func() error {
		for range sessions {
			select {
			case <-closed:
			case <-time.After(time.Minute):
				return errors.New("a session of a disabled account goes on")
			}
		}
		return nil
	})
}

// first tells when the first of an output came.
type first struct {
	came chan struct{}
	once sync.Once
}

func newFirst() *first { return &first{came: make(chan struct{})} }

func (f *first) Write(p []byte) (int, error) {
	f.once.Do(func() { close(f.came) })
	return len(p), nil
}

// ctl runs a command as the operator.
func (s *stage) ctl(stdin []byte, args ...string) error {
	cmd := exec.Command("bin/nuage", append([]string{"ctl", "--data", s.path("data")}, args...)...)
	cmd.Stdin = bytes.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ctl %v: %w: %s", args, err, out)
	}
	return nil
}
