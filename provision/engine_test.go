package provision_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"plil.net/nuage/cloud"
	"plil.net/nuage/provision"
)

// wantUnavailable wants that kind with a hint and words in the message or its cause.
func wantUnavailable(t *testing.T, err error, words string) {
	t.Helper()
	var e *cloud.Error
	if !errors.As(err, &e) || e.Kind != cloud.Unavailable || e.Hint == "" {
		t.Fatalf("error %#v, want Unavailable with a hint", err)
	}
	if all := e.Message + "\n" + errors.Join(e.Cause, errors.New("")).Error(); !strings.Contains(all, words) {
		t.Errorf("%q is not in %q", words, all)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []provision.DockerOptions{{Data: "relative"}, {Data: "/x", Host: "ssh://x"}, {Data: "/x", Host: "nonsense"}} {
		if _, err := provision.NewDocker(t.Context(), o); cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestNoProxy would hang or fail by name if the proxy of the environment were asked for the engine.
func TestNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asked := make(chan struct{}, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			asked <- struct{}{}
			c.Close()
		}
	}()
	d, err := provision.NewDocker(t.Context(), provision.DockerOptions{Data: "/x", Host: "tcp://" + l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	<-asked
}

// line is a way to the daemon that can be cut.
type line struct {
	path string
	mu   sync.Mutex
	l    net.Listener
	open []net.Conn
}

func (c *line) connect(t *testing.T) {
	l, err := net.Listen("unix", c.path)
	if err != nil {
		t.Fatal(err)
	}
	c.l = l
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", strings.TrimPrefix(client.DefaultDockerHost, "unix://"))
			if err != nil {
				in.Close()
				return
			}
			c.mu.Lock()
			c.open = append(c.open, in, out)
			c.mu.Unlock()
			go func() { _, _ = io.Copy(in, out); in.Close() }()
			go func() { _, _ = io.Copy(out, in); out.Close() }()
		}
	}()
}

func (c *line) cut() {
	c.l.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		conn.Close()
	}
}

func TestDaemonComesAndGoes(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := l.spec(t, "away.plil.net")
	way := &line{path: filepath.Join(t.TempDir(), "docker.sock")}
	d := l.engine(t, provision.DockerOptions{Data: l.data, Host: "unix://" + way.path})

	all := func(words string) {
		t.Helper()
		_, list := d.List(t.Context())
		_, exec := d.Exec(t.Context(), s.ID, cloud.Exec{Argv: []string{"true"}})
		_, dial := d.Dial(t.Context(), s.ID, "tcp", "127.0.0.1:8080")
		_, listen := d.Listen(t.Context(), s.ID)
		for _, err := range []error{
			d.Ping(t.Context()), d.Up(t.Context(), s), d.Down(t.Context(), s.ID), d.Remove(t.Context(), s.ID), list, exec, dial, listen,
			d.Logs(t.Context(), s.ID, cloud.LogOptions{}, io.Discard, io.Discard),
			d.Watch(t.Context(), func() { t.Error("ready") }, nil),
		} {
			wantUnavailable(t, err, words)
		}
	}
	all("does not answer")

	way.connect(t)
	if err := d.Up(t.Context(), s); err != nil {
		t.Fatalf("up once the daemon is there: %v", err)
	}
	broke, ready := make(chan error, 1), make(chan struct{})
	go func() { broke <- d.Watch(t.Context(), func() { close(ready) }, func(string, func() bool) {}) }()
	<-ready
	way.cut()
	if err := <-broke; cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("watch ended with %v", err)
	}
	all("does not answer")
	way.connect(t)
	defer way.cut()
	if err := d.Ping(t.Context()); err != nil {
		t.Errorf("ping once it is back: %v", err)
	}
}

func TestGatewaysApart(t *testing.T) {
	t.Parallel()
	l, m := newLab(t), newLab(t)
	s := l.spec(t, "mine.plil.net")
	l.up(t, s)
	if all, err := m.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("the other gateway lists %v, %v", all, err)
	}
	if err := errors.Join(m.Down(t.Context(), s.ID), m.Remove(t.Context(), s.ID)); err != nil {
		t.Error(err)
	}
	if all, _ := l.List(t.Context()); len(all) != 1 || !all[0].Running {
		t.Errorf("after the other gateway's remove: %+v", all)
	}
	_, err := m.Exec(t.Context(), s.ID, cloud.Exec{Argv: []string{"true"}})
	if cloud.KindOf(err) != cloud.Conflict {
		t.Errorf("exec by the other gateway: %v", err)
	}
	thief := m.spec(t, "mine.plil.net")
	thief.ID = s.ID
	wantUnavailable(t, m.Up(t.Context(), thief), "not of this gateway")
}

func TestUpSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	up := func(name string, change func(*cloud.Spec)) error {
		s := l.spec(t, name)
		change(&s)
		return l.Up(t.Context(), s)
	}
	neighbour := l.spec(t, "neighbour.plil.net")
	l.up(t, neighbour)

	wantUnavailable(t, up("image.plil.net", func(s *cloud.Spec) { s.Image = "nuage/none:no" }), `"nuage/none:no"`)
	wantUnavailable(t, up("taken.plil.net", func(s *cloud.Spec) { s.Address = neighbour.Address }), "is taken")
	wantUnavailable(t, up("overlap.plil.net", func(s *cloud.Spec) {
		s.Group.Name += "-other"
	}), "overlaps")
	wantUnavailable(t, up("elsewhere.plil.net", func(s *cloud.Spec) { s.Group.Network = nextNetwork() }), "not one that group")
}

// TestNetworkChange moves a group to another network, site by site, while the others go on in the old one.
func TestNetworkChange(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s, other := l.at(t, l.group, 2), l.at(t, l.group, 3)
	l.up(t, s)
	l.up(t, other)
	s.Group.Network = nextNetwork()
	a := s.Group.Network.Addr().As4()
	a[3] = 9
	s.Address = netip.AddrFrom4(a)
	l.up(t, s)
	shows(t, s)
	shows(t, other)
}

func TestSiteThatDoesNotComeUp(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	d := l.engine(t, provision.DockerOptions{Data: l.data, Ready: 5 * time.Second})

	ends := l.spec(t, "ends.plil.net")
	ends.Root = `no"root` // breaks the configuration of its web server
	err := l.Up(t.Context(), ends)
	wantUnavailable(t, err, "ended with status 1")
	wantUnavailable(t, err, "Syntax error")

	sleeps := l.spec(t, "sleeps.plil.net")
	sleeps.Image = l.image(t, `echo my last words; exec sleep 1000`)
	err = d.Up(t.Context(), sleeps)
	wantUnavailable(t, err, "did not answer on port 8080 within 5s")
	wantUnavailable(t, err, "my last words")

	all, err := l.List(t.Context())
	if err != nil || len(all) != 2 || all[0].Running || all[1].Running {
		t.Errorf("left behind: %+v, %v", all, err)
	}
}

// image makes a variant of the standard image with another program.
func (l *lab) image(t *testing.T, program string) string {
	t.Helper()
	id := l.variant(t, program, "")
	t.Cleanup(func() {
		l.sweep(t)
		_, _ = l.api.ImageRemove(context.Background(), id, client.ImageRemoveOptions{Force: true})
	})
	return id
}

// variant is image under a name, for who removes it.
func (l *lab) variant(t *testing.T, program, name string) (id string) {
	t.Helper()
	ctx := context.Background()
	made, err := l.api.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config: &container.Config{Image: provision.StandardImage, Labels: map[string]string{"nuage.data": l.data}},
	})
	if err != nil {
		t.Fatal(err)
	}
	i, err := l.api.ContainerCommit(ctx, made.ID, client.ContainerCommitOptions{
		Reference: name, Config: &container.Config{Cmd: []string{"/bin/sh", "-c", program}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = l.api.ContainerRemove(ctx, made.ID, client.ContainerRemoveOptions{Force: true})
	return i.ID
}

func TestNone(t *testing.T) {
	t.Parallel()
	var e provision.None
	_, exec := e.Exec(t.Context(), "x", cloud.Exec{Argv: []string{"true"}})
	_, dial := e.Dial(t.Context(), "x", "tcp", "127.0.0.1:80")
	_, listen := e.Listen(t.Context(), "x")
	for _, err := range []error{e.Up(t.Context(), cloud.Spec{}), exec, dial, listen} {
		wantUnavailable(t, err, "no container engine")
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := e.Watch(ctx, cancel, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("watch: %v", err)
	}
}
