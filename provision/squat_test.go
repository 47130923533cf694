package provision_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"plil.net/nuage/provision"
	"plil.net/nuage/provision/provisiontest"
)

// squat starts a foreign web server at an address, in the network of that name, and returns how to remove it. It listens when
// it returns.
func (l *lab) squat(t *testing.T, in string, at netip.Addr) (leave func()) {
	t.Helper()
	made, err := l.api.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Config: &container.Config{Image: provision.StandardImage, Labels: map[string]string{"nuage.data": l.data},
			Entrypoint: []string{"/usr/bin/php", "-r", `file_put_contents("/tmp/i.php", "foreign"); pcntl_exec("/usr/bin/php", ["-S", "0.0.0.0:8080", "/tmp/i.php"]);`}},
		HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode(in)},
		NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
			in: {IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: at}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.api.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	log, err := l.api.ContainerLogs(t.Context(), made.ID, client.ContainerLogsOptions{ShowStderr: true, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for lines := bufio.NewScanner(log); !strings.Contains(lines.Text(), "started"); {
		if !lines.Scan() {
			t.Fatal("the squatter does not listen")
		}
	}
	return func() {
		if _, err := l.api.ContainerRemove(context.Background(), made.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
	}
}

// needTables skips where nobody may set rules and neighbours.
func needTables(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"nft", "ip"} {
		if _, err := exec.LookPath(tool); err != nil || os.Getuid() != 0 {
			provisiontest.Skip(t, tool, "only root sets rules and neighbours")
		}
	}
}

// networkOf is the name of the lab's only network.
func (l *lab) networkOf(t *testing.T) network.Summary {
	t.Helper()
	found, err := l.api.NetworkList(t.Context(), client.NetworkListOptions{Filters: client.Filters{}.Add("label", "nuage.data="+l.data)})
	if err != nil || len(found.Items) != 1 {
		t.Fatalf("%d networks, %v", len(found.Items), err)
	}
	return found.Items[0]
}

// look is what this host is told at the address of a site; "" if nobody answers there.
func look(at netip.Addr) string {
	once := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 1200 * time.Millisecond} // for a second SYN
	resp, err := once.Get(fmt.Sprintf("http://%s:8080/", at))
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

// TestSquat: nothing that this host sends to the address of a site ever reaches a container that is of no site, also in
// the middle of a connection; and the site is reached again as soon as it is back.
func TestSquat(t *testing.T) {
	t.Parallel()
	needTables(t)
	l := newLab(t)
	s := l.at(t, l.group, 2)
	l.up(t, s)
	in := l.networkOf(t)
	shows(t, s)

	// Somebody has begun to connect while the site was there, and somebody else has its address when that goes through.
	if err := l.Down(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	began := make(chan string, 1)
	go func() {
		conn, err := net.DialTimeout("tcp", s.Address.String()+":8080", 4*time.Second)
		if err != nil {
			began <- ""
			return
		}
		conn.Close()
		began <- "connected"
	}()
	leave := l.squat(t, in.Name, s.Address)
	if got := look(s.Address); got != "" {
		t.Errorf("at the address of a site that sleeps: %q", got)
	}
	if got := neighbour(t, "show", s.Address.String()); strings.Contains(got, "02:42:") {
		t.Errorf("the host has learned that %s", got)
	}
	a := s.Address.As4()
	neighbour(t, "replace", s.Address.String(), "lladdr", fmt.Sprintf("02:42:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3]), "dev", "br-"+in.ID[:12], "nud", "reachable")
	if got := look(s.Address); got != "" {
		t.Errorf("where the host has learned it before: %q", got)
	}
	if got := <-began; got != "" {
		t.Errorf("who had begun to connect is %s", got)
	}
	wantUnavailable(t, l.Up(t.Context(), s), "is taken by a container that is not of this gateway")
	if got := look(s.Address); got != "" {
		t.Errorf("after a try to wake it: %q", got)
	}
	leave()
	l.up(t, s)
	shows(t, s)

	// What the engine may hand out is anybody's.
	free := in.IPAM.Config[0].IPRange.Addr().Next()
	leave = l.squat(t, in.Name, free)
	if got := look(free); got != "foreign" {
		t.Errorf("at an address that is for no site: %q", got)
	}
	leave()

	// The network itself may be somebody else's.
	if err := l.Remove(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := l.api.NetworkRemove(t.Context(), in.ID, client.NetworkRemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	l.tidy(t)
	foreign, err := l.api.NetworkCreate(t.Context(), in.Name+"-foreign", client.NetworkCreateOptions{Driver: "bridge",
		Labels: map[string]string{"nuage.data": l.data, "nuage.group": "none"},
		IPAM:   &network.IPAM{Driver: "default", Config: []network.IPAMConfig{{Subnet: in.IPAM.Config[0].Subnet}}}})
	if err != nil {
		t.Fatal(err)
	}
	leave = l.squat(t, in.Name+"-foreign", s.Address)
	if got := look(s.Address); got != "" {
		t.Errorf("in a network of somebody else: %q", got)
	}
	leave()
	if _, err := l.api.NetworkRemove(t.Context(), foreign.ID, client.NetworkRemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	l.up(t, s)
	shows(t, s)
}

// neighbour asks the host who is at an address, or tells it.
func neighbour(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("ip", append([]string{"neigh"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", args, out)
	}
	return string(out)
}

// TestNewMAC: who is at an address now is found at once, also where this host remembers another.
func TestNewMAC(t *testing.T) {
	t.Parallel()
	needTables(t)
	l := newLab(t)
	s, other := l.at(t, l.group, 2), l.at(t, l.group, 3)
	l.up(t, other) // a bridge that nobody is on forgets all by itself
	l.up(t, s)
	if err := l.Remove(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	bridge := "br-" + l.networkOf(t).ID[:12]
	neighbour(t, "replace", s.Address.String(), "lladdr", "02:42:00:00:00:01", "dev", bridge, "nud", "reachable")
	l.up(t, s)
	shows(t, s)
	if got := neighbour(t, "show", s.Address.String()); !strings.Contains(got, "02:6e:0a:") {
		t.Errorf("the host has learned that %s", got)
	}
}
