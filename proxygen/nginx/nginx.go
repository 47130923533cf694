// Package nginx lets an nginx of the host serve the routes: it writes one file for all of them, has nginx check it,
// puts it in place whole and reloads nginx. It starts no nginx and touches no other file of it. Sites that may
// sleep, static sites and redirects go through the built-in proxy, so that nothing is decided twice.
package nginx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen"
)

const (
	reloadEvery = time.Second      // at most
	commandTime = 20 * time.Second // for nginx to check or reload
	serveTime   = 10 * time.Second // until it answers by the new file
	inARow      = 6                // such answers: nginx tells its old workers to stop 100 ms after it has started the new ones
	askEvery    = 25 * time.Millisecond
)

// Options are what a publisher is made of.
type Options struct {
	HTTP, HTTPS string // where nginx listens, host:port; empty: not at all
	Builtin     string // where the built-in proxy listens on loopback
	Body        int64  // bytes that the body of a request may have
	// Certificate names the files of the certificate for a host.
	Certificate func(host string) (cert, key string, ok bool)

	Program string // nginx, a name or a path
	Config  string // the main config file, "" for the program's own. It includes File in its http section
	File    string // ours
	Hits    string // where nginx tells of what it takes straight to containers; "" for nowhere

	Patience proxygen.Patience
	Log      *slog.Logger
}

// Publisher is an nginx.
type Publisher struct {
	Options
	queue    proxygen.Queue
	reloaded time.Time
	served   []byte // the file by which nginx answers
	pid      string // nginx's file of its process, "" if that is not known
}

var _ cloud.Offering = (*Publisher)(nil)

// New makes a publisher.
func New(o Options) *Publisher {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &Publisher{Options: o}
	p.queue = proxygen.Queue{Every: reloadEvery, Same: p.same, Write: p.write}
	return p
}

// Publish implements cloud.Publisher.
func (p *Publisher) Publish(ctx context.Context, routes []cloud.Route) error {
	return p.Offer(routes)(ctx)
}

// Offer implements cloud.Offering. Any number of changes that wait become one file, one check and one reload. A file that
// would not change is not written, and nginx not reloaded: sites that wake and fall asleep cost nothing. Unavailable, with
// nginx's words in the log, where it refuses the file; the one before is then in place.
func (p *Publisher) Offer(routes []cloud.Route) (served func(context.Context) error) {
	return p.queue.Offer(routes)
}

func (p *Publisher) same(routes []cloud.Route) bool {
	text := p.Render(routes)
	now, err := os.ReadFile(p.File)
	return err == nil && bytes.Equal(p.served, text) && bytes.Equal(now, text)
}

func (p *Publisher) write(routes []cloud.Route) error {
	text := p.Render(routes)
	before, err := os.ReadFile(p.File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unavailable("its file cannot be read", err)
	}
	if err := p.makeHits(); err != nil {
		return unavailable("the file for its access log cannot be made", err)
	}
	if err := p.alone(text); err != nil {
		return err
	}
	if err := p.replace(before, text); err != nil {
		return err
	}
	old, err := p.reload()
	if err != nil {
		return err
	}
	if err := p.serving(text, old); err != nil {
		return errors.Join(err, p.restore(before))
	}
	p.served = text
	return nil
}

// alone has nginx check the new file before it is anywhere that nginx would read it by itself.
func (p *Publisher) alone(text []byte) error {
	dir, err := os.MkdirTemp("", "nuage-nginx-")
	if err != nil {
		return unavailable("there is no room to check its file", err)
	}
	defer os.RemoveAll(dir)
	file, main := filepath.Join(dir, "nuage.conf"), filepath.Join(dir, "nginx.conf")
	around := fmt.Sprintf("pid %q;\nerror_log stderr;\nevents {}\nhttp {\n\taccess_log off;\n\tinclude %q;\n}\n", filepath.Join(dir, "pid"), file)
	if err := errors.Join(os.WriteFile(file, text, 0o600), os.WriteFile(main, []byte(around), 0o600)); err != nil {
		return unavailable("there is no room to check its file", err)
	}
	_, err = p.run("-t", "-q", "-c", main)
	return err
}

// replace puts the new file in place and has nginx check it among its others; if it clashes with those, the old one
// comes back. nginx tells its whole config meanwhile, and so where it keeps the number of its process.
func (p *Publisher) replace(before, text []byte) error {
	if err := write(p.File, text); err != nil {
		return unavailable("its file cannot be written", err)
	}
	whole, err := p.run(p.args("-T", "-q")...)
	if err != nil {
		return errors.Join(err, p.restore(before))
	}
	p.pid = pidFile(whole)
	return nil
}

func (p *Publisher) restore(before []byte) error {
	if before == nil {
		return os.Remove(p.File)
	}
	return write(p.File, before)
}

// write puts a file in place whole.
func write(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".nuage-*") // which no include of *.conf takes
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chmod(0o644), f.Sync()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

func (p *Publisher) args(args ...string) []string {
	if p.Config != "" {
		args = append(args, "-c", p.Config)
	}
	return args
}

// run runs nginx, and returns its stdout.
func (p *Publisher) run(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	var out, words bytes.Buffer
	cmd := exec.CommandContext(ctx, p.Program, args...)
	cmd.Stdout, cmd.Stderr = &out, &words
	err := cmd.Run()
	if err == nil {
		return out.Bytes(), nil
	}
	says := strings.TrimSpace(words.String())
	p.Log.Error("nginx refuses", "command", p.Program+" "+strings.Join(args, " "), "err", err, "says", says)
	return nil, unavailable("it refuses the change", errors.New(says))
}

func unavailable(what string, cause error) error {
	return cloud.Errorf(cloud.Unavailable, "the proxy (nginx) does not take the change: %s", what).
		WithHint("try again, or tell your admin; why is in the gateway's log").Because(cause)
}
