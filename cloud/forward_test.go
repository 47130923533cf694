package cloud_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// echo listens on an address of this host, where the fake engine's sites are, and gives back what it gets.
func echo(t *testing.T, address string) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func TestDialHosts(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	alice := w.person(c, "alice")
	s := w.site(c, alice, "blog", cloud.PHP)
	loopback, own := echo(t, "127.0.0.1:0"), echo(t, s.Address.String()+":0")
	for host, port := range map[string]string{
		"localhost": loopback, "LOCALHOST": loopback, "localhost.": loopback, "127.0.0.1": loopback, "::ffff:127.0.0.1": loopback,
		s.Address.String(): own, "blog.plil.net": own, "Blog.plil.net": own, "site": own,
	} {
		conn, err := c.Dial(ctx, alice, "blog", "tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_, _ = io.WriteString(conn, "hello")
		_ = conn.CloseWrite()
		if got, err := io.ReadAll(conn); string(got) != "hello" {
			t.Errorf("%s: %q, %v", host, got, err)
		}
		conn.Close()
	}
	for _, host := range []string{
		"169.254.169.254", "::ffff:169.254.169.254", "10.64.0.1", "0.0.0.0", "::", "0", "127.1", "2130706433", "::1%lo", "fe80::1",
		"127.0.0.1.nip.io", "example.org", "other.plil.net", "localhost.plil.net", "", "*", " localhost", "host.docker.internal", "255.255.255.255",
	} {
		conn, err := c.Dial(ctx, alice, "blog", "tcp", net.JoinHostPort(host, loopback))
		if err == nil {
			conn.Close()
		}
		if cloud.KindOf(err) != cloud.Denied || !strings.Contains(err.Error(), "only ports inside the site") {
			t.Errorf("%q: %v", host, err)
		}
	}
	for _, address := range []string{"", "localhost", "[::1", "a:b:c"} {
		if _, err := c.Dial(ctx, alice, "blog", "tcp", address); cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestForwardRights(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	alice, bob := w.person(c, "alice"), w.person(c, "bob")
	for name, kind := range map[string]cloud.Type{"blog": cloud.PHP, "pages": cloud.Static} {
		w.site(c, alice, name, kind)
	}
	port := echo(t, "127.0.0.1:0")
	for _, tc := range []struct {
		who  cloud.Who
		site string
		want cloud.Kind
	}{{alice, "blog", ""}, {operator, "blog", ""}, {bob, "blog", cloud.NotFound}, {alice, "pages", cloud.Invalid}, {alice, "none", cloud.NotFound}} {
		conn, err := c.Dial(ctx, tc.who, tc.site, "tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
		}
		l, listen := c.Listen(ctx, tc.who, tc.site)
		if listen == nil {
			l.Close()
		}
		wantListen := tc.want
		if tc.site == "pages" { // an agent is for programs, which a static site may have
			wantListen = ""
		}
		if cloud.KindOf(err) != tc.want || cloud.KindOf(listen) != wantListen {
			t.Errorf("%s at %s: %v, %v", tc.who.Account, tc.site, err, listen)
		}
	}
}

// TestForwardsAreToldOnceAMinute: a browser's hundred connections are one event, and so are a scan's refusals.
func TestForwardsAreToldOnceAMinute(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	alice := w.person(c, "alice")
	w.site(c, alice, "blog", cloud.PHP)
	port := echo(t, "127.0.0.1:0")
	for i := range 100 {
		conn, err := c.Dial(ctx, alice, "blog", "tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		_, _ = c.Dial(ctx, alice, "blog", "tcp", "10.0.0."+strconv.Itoa(i)+":80")
	}
	other := alice
	other.Address = "192.0.2.1:1"
	conn, err := c.Dial(ctx, other, "blog", "tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	var told []string
	soon(t, "three events", func() bool {
		told = nil
		err := c.Audit(ctx, operator, cloud.EventFilter{Account: "alice"}, false, func(e cloud.Event) error {
			if e.Action == cloud.SiteForward {
				told = append(told, e.Result)
			}
			return nil
		})
		return err == nil && len(told) >= 3
	})
	if got := strings.Join(told, " "); got != "ok denied ok" {
		t.Errorf("told %q", got)
	}
}

func TestAForwardKeepsItsSiteAwake(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, c, alice, _ := drowsy(t)
	c.asleep(t, alice, "blog")
	conn, err := c.Dial(ctx, alice, "blog", "tcp", "127.0.0.1:"+echo(t, "127.0.0.1:0"))
	if err != nil {
		t.Fatalf("dial of a site that sleeps: %v", err)
	}
	if status, err := c.Status(ctx, operator); err != nil || status.InUse != 1 {
		t.Errorf("%d sites in use, %v", status.InUse, err)
	}
	conn.Close()
	conn.Close()
	l, err := c.Listen(ctx, alice, "blog")
	if err != nil {
		t.Fatal(err)
	}
	if status, err := c.Status(ctx, operator); err != nil || status.InUse != 1 {
		t.Errorf("%d sites in use, %v", status.InUse, err)
	}
	if err := l.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	soon(t, "it sleeps again", func() bool { return c.state(t, alice, "blog") == cloud.Asleep })
}

// TestExecTellsOfAWake: a person who waits is told why, and when it is over.
func TestExecTellsOfAWake(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, c, alice, s := drowsy(t)
	c.asleep(t, alice, "blog")
	var steps []string
	x := cloud.Exec{Argv: []string{"true"}, Progress: func(step string) {
		if steps = append(steps, step); step == "" { // it stays awake for the next
			_, release, err := c.Hold(ctx, s.ID)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(release)
		}
	}}
	for _, want := range []string{"starting the container;", ""} {
		if _, err := c.Exec(ctx, alice, "blog", x); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(steps, ";"); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		steps = nil
	}
}

func TestAProgramWhoseSiteIsDeleted(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	alice := w.person(c, "alice")
	w.site(c, alice, "blog", cloud.PHP)
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := c.Exec(ctx, alice, "blog", cloud.Exec{Argv: []string{"sh", "-c", "echo begun; exec sleep 1000"}, Stdout: in})
		ended <- err
	}()
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteSite(ctx, alice, "blog"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; cloud.KindOf(err) != cloud.Unavailable || !strings.Contains(err.Error(), `site "blog.plil.net" was deleted`) {
		t.Errorf("%v", err)
	}
}

// TestAForwardEndsWithTheRight: who is no member any more has lost what was open, the agent's socket too.
func TestAForwardEndsWithTheRight(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	alice, bob := w.person(c, "alice"), w.person(c, "bob")
	w.site(c, alice, "blog", cloud.PHP)
	if _, err := c.ShareSite(ctx, alice, "blog", "bob"); err != nil {
		t.Fatal(err)
	}
	conn, err := c.Dial(ctx, bob, "blog", "tcp", "127.0.0.1:"+echo(t, "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	l, err := c.Listen(ctx, bob, "blog")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := c.UnshareSite(ctx, alice, "blog", "bob"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection: %v", err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("the socket is still open")
	}
}
