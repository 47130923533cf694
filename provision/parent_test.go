package provision_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"plil.net/nuage/cloud"
	"plil.net/nuage/provision"
	"plil.net/nuage/provision/provisiontest"
)

// vlan is a network beyond an interface of this host, with a router in it, which leads to "outside" and back to the host.
type vlan struct {
	parent  string
	ns      string
	outside string // answers with "outside" on port 80
	host    string // this host, as the router finds it
}

func newVLAN(t *testing.T, network netip.Prefix) vlan {
	t.Helper()
	run := func(args ...string) {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			provisiontest.Skip(t, "macvlan", fmt.Sprintf("%v: %v: %s", args, err, out))
		}
	}
	own := network.Addr().As4() // nobody else's, so names made of it are nobody else's either
	n := fmt.Sprintf("%d.%d", own[1], own[2])
	v := vlan{parent: "nup" + n, ns: "nuagev" + n, outside: "203.0.113.9"}
	back := "nub" + n
	link := fmt.Sprintf("198.%d.%d.", 18+own[1]&1, own[2]) // RFC 2544: for tests
	v.host = link + "5"
	router := network.Addr().Next().String()

	run("ip", "netns", "add", v.ns)
	t.Cleanup(func() {
		_ = exec.Command("ip", "netns", "delete", v.ns).Run()
		_ = exec.Command("ip", "link", "delete", v.parent).Run()
	})
	run("ip", "link", "add", v.parent, "type", "veth", "peer", "name", "eth0", "netns", v.ns)
	run("ip", "link", "set", v.parent, "up")
	run("ip", "link", "add", "link", v.parent, "name", "nut"+n, "type", "macvlan", "mode", "private")
	run("ip", "link", "delete", "nut"+n)
	run("ip", "link", "add", back, "type", "veth", "peer", "name", "eth1", "netns", v.ns)
	run("ip", "addr", "add", v.host+"/30", "dev", back)
	run("ip", "link", "set", back, "up")
	for _, args := range [][]string{
		{"addr", "add", router + "/" + strconv.Itoa(network.Bits()), "dev", "eth0"},
		{"addr", "add", link + "6/30", "dev", "eth1"},
		{"addr", "add", v.outside + "/32", "dev", "lo"},
		{"link", "set", "lo", "up"}, {"link", "set", "eth0", "up"}, {"link", "set", "eth1", "up"},
		{"route", "add", "default", "via", v.host},
	} {
		run(append([]string{"ip", "-n", v.ns}, args...)...)
	}
	run("ip", "netns", "exec", v.ns, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
	run("ip", "route", "add", network.String(), "via", link+"6")
	server := exec.Command("ip", "netns", "exec", v.ns, "python3", "-c", `
import http.server
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"outside")
http.server.HTTPServer(("", 80), H).serve_forever()`)
	if err := server.Start(); err != nil {
		provisiontest.Skip(t, "python3", err.Error())
	}
	t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	return v
}

// fetch asks a site for a page as the proxy does.
func (l *lab) fetch(t *testing.T, s cloud.Spec, path string) string {
	t.Helper()
	conn, err := l.Dial(t.Context(), s.ID, "tcp", "127.0.0.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: 192.0.2.7\r\nConnection: close\r\n\r\n", path, s.Name)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}

// TestParent puts a group into a VLAN, and looks from inside, and from there, at what can be reached.
func TestParent(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("nft"); err != nil || os.Getuid() != 0 {
		provisiontest.Skip(t, "nft", "only root sets rules")
	}
	l, service, web := newLab(t), listen(t, "a service"), listen(t, "the web")
	in := cloud.Group{Name: l.group.Name + "v", Network: nextNetwork()}
	v := newVLAN(t, in.Network)
	in.Parent = v.parent
	begin := func(g cloud.Group) {
		l.Docker = l.engine(t, provision.DockerOptions{Data: l.data, Groups: []cloud.Group{l.group, g}, WebPorts: []int{web}})
	}
	begin(in)
	a, b, c := l.at(t, in, 2), l.at(t, in, 3), l.at(t, l.group, 4)
	provisiontest.Write(t, a, "www/who.php", `<?php echo $_SERVER["REMOTE_ADDR"];`)
	for _, s := range []cloud.Spec{a, b, c} {
		l.up(t, s)
	}
	if got := l.fetch(t, a, "/") + " " + l.fetch(t, a, "/who.php") + " " + l.fetch(t, b, "/"); got != a.Name+" 192.0.2.7 "+b.Name {
		t.Errorf("asked inside: %q", got)
	}

	at := func(a string, port int) string { return fmt.Sprintf("http://%s:%d/", a, port) }
	look := func(s cloud.Spec, url, want string) { // want is "" for what is not to be reached
		t.Helper()
		got := l.sh(t, s, "curl -sS -m 3 "+url)
		if want == "" && !strings.HasPrefix(got, "curl:") || want != "" && got != want {
			t.Errorf("%s looks at %s: %q, want %q", s.Name, url, got, want)
		}
	}
	gateway := l.group.Subnet(c.Address).Gateway().String()
	all := func() {
		t.Helper()
		look(a, at(v.outside, 80), "outside")
		look(a, at(b.Address.String(), 8080), "")
		look(a, at(c.Address.String(), 8080), "")
		look(c, at(a.Address.String(), 8080), "")
		look(a, at(v.host, service), "")
		look(a, at(v.host, web), "the web")
		look(a, at(gateway, service), "")
		look(a, at("172.17.0.1", service), "")
		look(a, at("169.254.169.254", 80), "")
	}
	all()
	// From the VLAN, and from here through its router: nobody gets round the proxy.
	l.sh(t, a, "perl -MIO::Socket::INET -e 'IO::Socket::INET->new(LocalPort => 9999, Listen => 9) or die; sleep 1000' >/dev/null 2>&1 &")
	for _, port := range []string{"8080", "9999"} {
		url := fmt.Sprintf("http://%s:%s/", a.Address, port)
		for _, curl := range [][]string{{"curl"}, {"ip", "netns", "exec", v.ns, "curl"}} {
			if out, err := exec.Command(curl[0], append(curl[1:], "-sS", "-m", "2", url)...).CombinedOutput(); err == nil {
				t.Errorf("%v reaches %s: %s", curl, url, out)
			}
		}
	}
	if w := l.Warnings(); len(w) > 0 {
		t.Errorf("warnings %q", w)
	}

	// A container that somebody starts again has a new network without rules.
	l.restart(t, a)
	l.up(t, a)
	look(a, at(v.host, service), "")
	l.watched(t, func() { // often: what tells of one start may be looked at in the midst of the next
		for range 5 {
			l.restart(t, a)
		}
	}, func() bool {
		return strings.HasPrefix(l.sh(t, a, "curl -sS -m 3 "+at(v.host, service)), "curl:")
	})

	in.NoInternet = true
	begin(in)
	a.Group = in
	l.up(t, a)
	look(a, at(v.outside, 80), "")
	look(a, at(v.host, web), "the web")
}

// TestLeft tells a process that has ended, of which the engine may not know yet, from one that cannot be entered.
func TestLeft(t *testing.T) {
	t.Parallel()
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	zombie := exec.Command("true")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	defer zombie.Wait()
	for name, pid := range map[string]int{"ended": ended.Process.Pid, "not waited for": zombie.Process.Pid, "none": 0, "another's": os.Getpid()} {
		if !provision.Left(pid, "nosuchcontainer") {
			t.Errorf("%s: process %d is taken for the container's", name, pid)
		}
	}
	if provision.Left(os.Getpid(), "") {
		t.Error("our own process has not ended")
	}
}

func (l *lab) restart(t *testing.T, s cloud.Spec) {
	t.Helper()
	now := 0
	if _, err := l.api.ContainerRestart(t.Context(), "nuage-"+s.ID, client.ContainerRestartOptions{Timeout: &now}); err != nil {
		t.Fatal(err)
	}
}

// watched runs fn while the engine watches, and waits until ok.
func (l *lab) watched(t *testing.T, fn func(), ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_ = l.Watch(ctx, func() { close(ready) }, func(string, func() bool) {})
	}()
	<-ready
	fn()
	for end := time.Now().Add(provisiontest.Patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Error("not in time")
			break
		}
	}
	cancel()
	<-ended
}

// TestParentChange takes a group into a VLAN and out again: no site is lost.
func TestParentChange(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("nft"); err != nil || os.Getuid() != 0 {
		provisiontest.Skip(t, "nft", "only root sets rules")
	}
	l := newLab(t)
	v := newVLAN(t, l.group.Network)
	_ = exec.Command("ip", "route", "delete", l.group.Network.String()).Run() // a bridge leads there as well
	a, b := l.at(t, l.group, 2), l.at(t, l.group, 3)
	for _, parent := range []string{"", v.parent, ""} {
		a.Group.Parent, b.Group.Parent = parent, parent
		l.Docker = l.engine(t, provision.DockerOptions{Data: l.data, Groups: []cloud.Group{a.Group}})
		for range 2 { // the first waits for the last of the others to leave
			for _, s := range []cloud.Spec{a, b} {
				if err := l.Up(t.Context(), s); err != nil {
					wantUnavailable(t, err, "still its old one")
				}
			}
		}
		for _, s := range []cloud.Spec{a, b} {
			if got := l.fetch(t, s, "/"); got != s.Name {
				t.Errorf("parent %q: %s answers %q", parent, s.Name, got)
			}
		}
	}
	shows(t, a)
	shows(t, b)
}

func TestParentRefused(t *testing.T) {
	t.Parallel()
	g := cloud.Group{Name: "vlan", Network: netip.MustParsePrefix("10.98.0.0/24"), Parent: "eth0.7"}
	if _, err := provision.NewDocker(t.Context(), provision.DockerOptions{Data: "/x", Host: "tcp://127.0.0.1:1", Groups: []cloud.Group{g}}); cloud.KindOf(err) != cloud.Invalid {
		t.Errorf("an engine elsewhere: %v", err)
	}
	l := newLab(t)
	s := l.at(t, l.group, 2)
	s.Group.Parent = "nosuch0"
	wantUnavailable(t, l.Up(t.Context(), s), "there can be no network on nosuch0")
}
