package provision_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"plil.net/nuage/cloud"
	"plil.net/nuage/provision/provisiontest"
)

// glance is what a tenant finds when looking around inside.
type glance struct{ what, script, want string }

var seen = []glance{
	{"no capability", `grep CapEff /proc/self/status`, "CapEff:\t0000000000000000"},
	{"none to be had", `grep CapBnd /proc/self/status`, "CapBnd:\t0000000000000000"},
	{"no new privileges", `grep NoNewPrivs /proc/self/status`, "NoNewPrivs:\t1"},
	{"a seccomp filter", `grep Seccomp: /proc/self/status`, "Seccomp:\t2"},
	{"a read-only root", `touch /x /etc/x /usr/x /home/x; ls /x /etc/x /usr/x /home/x`, ""},
	{"read-only even for its owner", `grep -c -E '^[^ ]+ / [^ ]+ ro[, ]' /proc/mounts`, "1"},
	{"nothing to execute in /run", `cp /bin/true /run/x; /run/x && echo ran`, ""},
	{"a name and a home", `whoami; pwd; echo $HOME $LANG; git config --global user.name me && echo ok`, "site\n/home/site\n/home/site C.UTF-8\nok"},
	{"the branch that people push", `git init -q --bare r.git 2>&1; cat r.git/HEAD; rm -r r.git`, "ref: refs/heads/main"},
	{"programs to run in /tmp", `cp /bin/true /tmp/x && /tmp/x && echo ran`, "ran"},
	{"a bounded /tmp", `head -c 200M /dev/zero >/tmp/big; test $(stat -c %s /tmp/big) -le 67108864 && echo so; rm /tmp/big`, "so"},
	{"no setuid program", `find / -xdev -type f -perm /6000`, ""},
	{"no docker socket", `ls /var/run/docker.sock /run/docker.sock`, ""},
	{"no core", `ulimit -c`, "0"},
	{"its own processes only", `pgrep -c -x "dockerd|containerd|systemd"`, "0"},
	{"an init that reaps", `ps -o args= -p 1 | cut -d' ' -f1`, "/sbin/docker-init"},
	{"no terminal of others", `ls /dev/pts | grep -v ptmx`, ""},
	{"no way to the devices", `mknod /tmp/sda b 8 0 || echo refused`, "refused"},
}

// Of a site with a web server, and of one that is there for programs alone.
var (
	seenWhole = glance{"the web server as bare", `grep -h -E "CapEff|NoNewPrivs" /proc/$(pgrep -o apache2)/status`, "CapEff:\t0000000000000000\nNoNewPrivs:\t1"}
	seenBare  = []glance{
		{"no network", `tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '`, "lo"},
		{"no way out", `cat /proc/net/route | tail -n +2`, ""},
		{"no web server", `pgrep apache2; pgrep php`, ""},
	}
)

func TestInside(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	whole, bare := l.spec(t, "inside.plil.net"), l.spec(t, "bare.plil.net")
	bare.Bare, bare.Group, bare.Address = true, cloud.Group{}, netip.Addr{}
	l.inside(t, whole, append([]glance{seenWhole}, seen...))
	l.inside(t, bare, append(seenBare, seen...))
}

func (l *lab) inside(t *testing.T, s cloud.Spec, seen []glance) {
	t.Helper()
	l.up(t, s)
	if got, want := l.sh(t, s, "id -u; id -g; id -G; hostname"), fmt.Sprintf("%d\n%d\n%d\nsite", s.UID, s.UID, s.UID); got != want {
		t.Errorf("ids %q, want %q", got, want)
	}
	for _, c := range seen {
		t.Run(s.Name+"/"+c.what, func(t *testing.T) {
			var out strings.Builder
			_, err := l.Exec(t.Context(), s.ID, cloud.Exec{Argv: []string{"/bin/sh", "-c", c.script}, Stdout: &out})
			if got := strings.TrimSpace(out.String()); err != nil || got != c.want {
				t.Errorf("%s: %q, want %q, %v", c.script, got, c.want, err)
			}
		})
	}
}

// TestMoreProcessorsThanThereAre: a group made for a larger host.
func TestMoreProcessorsThanThereAre(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := l.spec(t, "many-cores.plil.net")
	s.CPUs = 1000
	l.up(t, s)
}

// Limits are looked up where the kernel has them, for cgroup v1 and v2 show themselves differently inside.
func TestLimits(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := l.spec(t, "limits.plil.net")
	s.Memory, s.CPUs = 64<<20, 0.25
	l.up(t, s)
	k, err := l.api.ContainerInspect(t.Context(), "nuage-"+s.ID, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h := k.Container.HostConfig
	if h.Memory != s.Memory || h.MemorySwap != s.Memory || h.NanoCPUs != 250_000_000 || *h.PidsLimit != 128 || len(h.PortBindings) > 0 {
		t.Errorf("limits %+v", h.Resources)
	}
	// tail keeps a line that has no end.
	if got := l.sh(t, s, `sh -c 'tail /dev/zero'; echo $?`); !strings.HasSuffix(got, "137") {
		t.Errorf("200 MiB in a site of 64 MiB: %q", got)
	}
	if got := l.sh(t, s, `echo alive`); got != "alive" {
		t.Errorf("after that: %q", got)
	}
}

func TestForkBomb(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s, other := l.spec(t, "bomb.plil.net"), l.spec(t, "other.plil.net")
	l.up(t, s)
	l.up(t, other)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		// What a shell has to fork for ends it once it cannot: the first one waits without.
		_, err := l.Exec(ctx, s.ID, cloud.Exec{Argv: []string{"/bin/sh", "-c",
			`trap '' TERM HUP; mkfifo /tmp/never; exec 3<>/tmp/never; f() { f | f & wait; }; f & read -r line <&3`}})
		ended <- err
	}()
	full := func() bool {
		top, err := l.api.ContainerTop(t.Context(), "nuage-"+s.ID, client.ContainerTopOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(top.Processes) > 128 {
			t.Errorf("%d processes, the limit is 128", len(top.Processes))
		}
		return len(top.Processes) > 90
	}
	for end := time.Now().Add(provisiontest.Patience); !full(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the bomb went out")
		}
	}
	if got := l.sh(t, other, "echo alive"); got != "alive" {
		t.Errorf("the neighbour: %q", got)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// Killed inside, or with its container where not even that had a process left.
	if err := l.Up(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if n, _ := strconv.Atoi(l.sh(t, s, "ps -e --no-headers | wc -l")); n > 20 {
		t.Errorf("%d processes are left", n)
	}
}

func TestSitesApart(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	a, b := l.spec(t, "a.plil.net"), l.spec(t, "b.plil.net")
	provisiontest.Write(t, b, "www/index.html", "of b")
	l.up(t, a)
	l.up(t, b)
	fetch := "curl -sS -m 3 http://%s:8080/; echo $?"
	if got := l.sh(t, b, fmt.Sprintf(fetch, b.Address)); got != "of b\n0" && got != "of b0" {
		t.Errorf("b from itself: %q", got)
	}
	if got := l.sh(t, a, fmt.Sprintf(fetch, b.Address)); strings.Contains(got, "of b") || strings.HasSuffix(got, "\n0") {
		t.Errorf("b from a: %q", got)
	}
}

// TestWeb pins what PHP and .htaccess of the standard image see behind a proxy.
func TestWeb(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s := l.spec(t, "web.plil.net")
	provisiontest.Write(t, s, "www/see.php", `<?php error_log("seen"); echo $_SERVER["REMOTE_ADDR"], " ", $_SERVER["HTTPS"] ?? "off", " ", $_SERVER["HTTP_PROXY"] ?? "none";`)
	provisiontest.Write(t, s, "www/.htaccess", "RewriteEngine On\nRewriteRule ^pretty$ see.php\n")
	provisiontest.Write(t, s, "www/dir/index.html", "in dir")
	provisiontest.Write(t, s, "www/.git/config", "secret")
	l.up(t, s)
	for _, c := range []struct{ path, proto, body, location string }{
		{"/pretty", "https", "192.0.2.7 on none", ""},
		{"/pretty", "http", "192.0.2.7 off none", ""},
		{"/dir", "https", "", "https://web.plil.net/dir/"},
		{"/dir", "http", "", "http://web.plil.net/dir/"},
		{"/dir/", "http", "in dir", ""},
		{"/.git/config", "http", "", ""},
		{"/.htaccess", "http", "", ""},
	} {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("http://%s:8080%s", s.Address, c.path), nil)
		r.Host = s.Name
		r.Header = http.Header{"X-Forwarded-For": {"192.0.2.7"}, "X-Forwarded-Proto": {c.proto}, "Proxy": {"evil"}}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := resp.Header.Get("Location"); got != c.location || c.body != "" && string(body) != c.body || strings.Contains(string(body), "secret") {
			t.Errorf("%s over %s: %d %q, location %q", c.path, c.proto, resp.StatusCode, body, got)
		}
	}
	var log strings.Builder
	if err := l.Logs(t.Context(), s.ID, cloud.LogOptions{Tail: -1}, io.Discard, &log); err != nil || !strings.Contains(log.String(), "seen") {
		t.Errorf("log %q, %v", log.String(), err)
	}
}

// TestForwardsStayInside dials, by what a tenant can name or make, everything that is not the site's.
func TestForwardsStayInside(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s, neighbour := l.spec(t, "dials.plil.net"), l.spec(t, "neighbour.plil.net")
	l.up(t, s)
	l.up(t, neighbour)
	host, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	l.sh(t, s, "ln -s /var/run/docker.sock engine; ln -s /proc/1/root/var/run/docker.sock root; mkdir shut; chmod 0 shut")
	for _, c := range []struct{ network, address string }{
		{"tcp", host.Addr().String()},
		{"tcp", netip.AddrPortFrom(neighbour.Address, cloud.WebPort).String()},
		{"unix", "/var/run/docker.sock"},
		{"unix", cloud.HomePath + "/engine"},
		{"unix", cloud.HomePath + "/root"},
		{"unix", cloud.HomePath + "/shut/x"},
		{"unix", neighbour.Home},
		{"unix", "relative"},
		{"unix", "@abstract"},
		{"unix", "/" + strings.Repeat("x", 200)},
		{"tcp", "localhost:8080"},
		{"tcp", "[::1%lo]:8080"},
		{"udp", "127.0.0.1:53"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		conn, err := l.Dial(ctx, s.ID, c.network, c.address)
		cancel()
		if err == nil {
			t.Errorf("reached %s %s", c.network, c.address)
			conn.Close()
		} else if cloud.KindOf(err) == cloud.Internal {
			t.Errorf("%s %s: %v", c.network, c.address, err)
		}
	}
	conn, err := l.Dial(t.Context(), s.ID, "tcp", netip.AddrPortFrom(s.Address, cloud.WebPort).String())
	if err != nil {
		t.Fatalf("its own address: %v", err)
	}
	conn.Close()
}
