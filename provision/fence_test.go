package provision_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"plil.net/nuage/cloud"
	"plil.net/nuage/provision"
	"plil.net/nuage/provision/provisiontest"
)

// listen is a web server of the host on all its addresses, as its services are.
func listen(t *testing.T, says string) (port int) {
	t.Helper()
	l, err := net.Listen("tcp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, says) }))
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// outside is a machine that is reached through this host, as the internet is. It answers with "outside" on two ports.
func outside(t *testing.T) (address string) {
	t.Helper()
	n := rand.IntN(60_000)
	ns, here := fmt.Sprintf("nuage%d", n), fmt.Sprintf("nu%d", n)
	net := fmt.Sprintf("198.%d.%d.", 18+rand.IntN(2), rand.IntN(256)) // RFC 2544: for tests
	run := func(args ...string) {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			provisiontest.Skip(t, "root", fmt.Sprintf("%v: %v: %s", args, err, out))
		}
	}
	run("ip", "netns", "add", ns)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", ns).Run() })
	run("ip", "link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", ns)
	run("ip", "addr", "add", net+"1/30", "dev", here)
	run("ip", "link", "set", here, "up")
	run("ip", "-n", ns, "addr", "add", net+"2/30", "dev", "eth0")
	run("ip", "-n", ns, "link", "set", "eth0", "up")
	run("ip", "-n", ns, "link", "set", "lo", "up")
	run("ip", "-n", ns, "route", "add", "default", "via", net+"1")
	for _, port := range []string{"80", "3128"} {
		server := exec.Command("ip", "netns", "exec", ns, "python3", "-c", `
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"outside")
http.server.HTTPServer(("", int(sys.argv[1])), H).serve_forever()`, port)
		if err := server.Start(); err != nil {
			provisiontest.Skip(t, "python3", err.Error())
		}
		t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	}
	return net + "2"
}

// TestFence looks from inside of real sites at what they may reach.
func TestFence(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("nft"); err != nil || os.Getuid() != 0 {
		provisiontest.Skip(t, "nft", "only root sets rules")
	}
	l, service, web, far := newLab(t), listen(t, "a service"), listen(t, "the web"), outside(t)
	l.group.Split = 28
	other := cloud.Group{Name: l.group.Name + "x", Network: newLab(t).group.Network}
	shut := cloud.Group{Name: l.group.Name + "y", Network: newLab(t).group.Network, NoInternet: true, HTTPProxy: "http://" + far + ":3128"}
	l.Docker = l.engine(t, provision.DockerOptions{Data: l.data, Groups: []cloud.Group{l.group, other, shut}, WebPorts: []int{web}})
	spec := func(g cloud.Group, name string) cloud.Spec {
		s := l.spec(t, name)
		a := g.Network.Addr().As4()
		a[3] = s.Address.As4()[3]
		s.Group, s.Address = g, netip.AddrFrom4(a)
		provisiontest.Write(t, s, "www/index.html", "of "+name)
		l.up(t, s)
		return s
	}
	a, b, c, closed := spec(l.group, "a"), spec(l.group, "b"), spec(other, "c"), spec(shut, "closed")
	d := l.at(t, l.group, 18) // of the group of a, in its next subnet
	d.Name = "d"
	provisiontest.Write(t, d, "www/index.html", "of d")
	l.up(t, d)
	at := func(a string, port int) string { return fmt.Sprintf("http://%s:%d/", a, port) }
	gateway := func(s cloud.Spec) string { return s.Group.Subnet(s.Address).Gateway().String() }
	for _, look := range []struct {
		from cloud.Spec
		url  string
		want string // "" if it is not to be reached
	}{
		{a, at("127.0.0.1", 8080), "of a"},
		{a, at(b.Address.String(), 8080), ""},
		{a, at(c.Address.String(), 8080), ""},
		{a, at(d.Address.String(), 8080), ""},
		{d, at(a.Address.String(), 8080), ""},
		{d, at(c.Address.String(), 8080), ""},
		{c, at(d.Address.String(), 8080), ""},
		{d, at("127.0.0.1", 8080), "of d"},
		{a, at(gateway(d), service), ""},
		{d, at(gateway(a), service), ""},
		{d, at(gateway(d), service), ""},
		{d, at(gateway(d), web), "the web"},
		{d, at(far, 80), "outside"},
		{d, at("169.254.169.254", 80), ""},
		{c, at(a.Address.String(), 8080), ""},
		{a, at(gateway(a), service), ""},
		{a, at(gateway(c), service), ""},
		{a, at("172.17.0.1", service), ""},
		{a, at(strings.TrimSuffix(far, "2")+"1", service), ""},
		{a, at("169.254.169.254", 80), ""},
		{a, at(gateway(a), web), "the web"},
		{a, at(far, 80), "outside"},
		{closed, at(far, 80), ""},
		{closed, at(far, 3128), "outside"},
		{closed, at(gateway(closed), service), ""},
	} {
		got := l.sh(t, look.from, "curl -sS --noproxy '*' -m 5 "+look.url)
		if look.want == "" && !strings.HasPrefix(got, "curl:") || look.want != "" && got != look.want {
			t.Errorf("%s looks at %s: %q, want %q", look.from.Name, look.url, got, look.want)
		}
	}
	if got := l.sh(t, closed, "curl -sS -m 5 http://plil.net.invalid/"); got != "outside" {
		t.Errorf("through the proxy of the environment: %q", got)
	}
	deaf(t, l, a, gateway(a))
	for _, s := range []cloud.Spec{a, d, closed} {
		if got := l.sh(t, s, "grep -v ' lo$' /proc/net/if_inet6"); got != "" {
			t.Errorf("%s speaks IPv6: %q", s.Name, got)
		}
	}
	for _, s := range []cloud.Spec{a, c, d, closed} { // the gateway itself gets in
		resp, err := http.Get(at(s.Address.String(), 8080))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if w := l.Warnings(); len(w) > 0 {
		t.Errorf("warnings %q", w)
	}
	// Rules that somebody removed come back.
	fall := func() {
		t.Helper()
		if out, err := exec.Command("nft", "delete", "table", "inet", provision.TableName(l.Docker)).CombinedOutput(); err != nil {
			t.Fatalf("%s", out)
		}
	}
	fall()
	if got := l.sh(t, a, "curl -sS -m 5 "+at(gateway(a), service)); got != "a service" {
		t.Errorf("without rules: %q", got)
	}
	l.tidy(t)
	if got := l.sh(t, a, "curl -sS -m 5 "+at(gateway(a), service)); !strings.HasPrefix(got, "curl:") {
		t.Errorf("with rules again: %q", got)
	}
	// After a reboot the networks are there and the rules are not: no site runs without.
	fall()
	l.Docker = l.engine(t, provision.DockerOptions{Data: l.data, Groups: []cloud.Group{l.group, other, shut}, WebPorts: []int{web}})
	l.up(t, a)
	if got := l.sh(t, a, "curl -sS -m 5 "+at(gateway(a), service)); !strings.HasPrefix(got, "curl:") {
		t.Errorf("after a start: %q", got)
	}
}

// deaf wants the host to hear nothing that a site sends it by UDP.
func deaf(t *testing.T, l *lab, from cloud.Spec, host string) {
	t.Helper()
	heard, err := net.ListenPacket("udp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer heard.Close()
	port := heard.LocalAddr().(*net.UDPAddr).Port
	l.sh(t, from, fmt.Sprintf("bash -c 'echo site >/dev/udp/%s/%d'", host, port))
	mouth, err := net.Dial("udp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer mouth.Close()
	fmt.Fprint(mouth, "host") // comes after what the site sent
	b := make([]byte, 16)
	if n, _, err := heard.ReadFrom(b); err != nil || string(b[:n]) != "host" {
		t.Errorf("the host heard %q, %v", b[:n], err)
	}
}

// TestNoFence: where no rules can be set, the admin is warned.
func TestNoFence(t *testing.T) {
	t.Setenv("PATH", "/nowhere")
	l := newLab(t)
	l.tidy(t)
	if w := l.Warnings(); len(w) != 2 || !strings.Contains(w[0], "services of this host") || !strings.Contains(w[1], "address of one") {
		t.Errorf("warnings %q", w)
	}
}
