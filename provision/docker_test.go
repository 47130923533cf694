package provision_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/moby/moby/client"

	"plil.net/nuage/cloud"
	"plil.net/nuage/provision"
	"plil.net/nuage/provision/provisiontest"
)

// lab is a real Docker engine with a group of its own, and all that it made is removed at the end.
type lab struct {
	*provision.Docker
	api   *client.Client
	group cloud.Group
	data  string
	next  atomic.Int32
}

func newLab(t *testing.T) *lab {
	t.Helper()
	api, err := client.New(client.FromEnv)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.Ping(t.Context(), client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		provisiontest.Skip(t, "docker", err.Error())
	}
	if _, err := api.ImageInspect(t.Context(), provision.StandardImage); err != nil {
		provisiontest.Skip(t, "docker", "make image: "+err.Error())
	}
	l := &lab{api: api, data: t.TempDir()}
	l.group = cloud.Group{
		Name:    fmt.Sprintf("test%d", rand.IntN(1e6)),
		Network: nextNetwork(),
	}
	t.Cleanup(func() { l.sweep(t) })
	l.Docker = l.engine(t, provision.DockerOptions{Data: l.data})
	return l
}

// Networks are given out one after the other, from a random one on: no two labs of a run share one, and two runs seldom do.
var (
	firstNetwork = rand.Uint32()
	networks     atomic.Uint32
)

// nextNetwork is a /24 of 10.96.0.0/11 that no other lab of this run has.
func nextNetwork() netip.Prefix {
	n := firstNetwork + networks.Add(1)
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 96 | byte(n>>8)&31, byte(n), 0}), 24)
}

func (l *lab) engine(t *testing.T, o provision.DockerOptions) *provision.Docker {
	t.Helper()
	d, err := provision.NewDocker(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// sweep removes what carries the label of this lab, whoever made it and however the test ended.
func (l *lab) sweep(t *testing.T) {
	ctx := context.Background()
	ours := client.Filters{}.Add("label", "nuage.data="+l.data)
	containers, err := l.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: ours})
	if err != nil {
		t.Error(err)
	}
	for _, c := range containers.Items {
		_, _ = l.api.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true})
	}
	sum := sha256.Sum256([]byte(l.data))
	for _, family := range []string{"inet", "bridge"} {
		_ = exec.Command("nft", "delete", "table", family, "nuage_"+hex.EncodeToString(sum[:4])).Run() // it may have made none
	}
	networks, err := l.api.NetworkList(ctx, client.NetworkListOptions{Filters: ours})
	if err != nil {
		t.Error(err)
	}
	for _, n := range networks.Items {
		if _, err := l.api.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{}); err != nil {
			t.Error(err)
		}
	}
}

func (l *lab) spec(t *testing.T, name string) cloud.Spec {
	t.Helper()
	n := int(l.next.Add(1))
	a := l.group.Network.Addr().As4()
	a[3] = byte(1 + n)
	s := cloud.Spec{
		ID: fmt.Sprintf("%s-%d", l.group.Name, n), Name: name, Group: l.group, Address: netip.AddrFrom4(a),
		UID: 20000 + n, Home: t.TempDir(), Root: "www", Memory: 128 << 20, CPUs: 1,
	}
	if os.Getuid() != 0 {
		s.UID = os.Getuid()
	} else if err := os.Chown(s.Home, s.UID, s.UID); err != nil {
		t.Fatal(err)
	}
	provisiontest.Write(t, s, "www/.keep", "")
	return s
}

// up brings a site up and says why if it cannot.
func (l *lab) up(t *testing.T, s cloud.Spec) {
	t.Helper()
	if err := l.Up(t.Context(), s); err != nil {
		t.Fatalf("%v: %v", err, err.(*cloud.Error).Cause)
	}
}

// sh runs a shell command in a site and returns what it printed.
func (l *lab) sh(t *testing.T, s cloud.Spec, script string) string {
	t.Helper()
	var out strings.Builder
	_, err := l.Exec(t.Context(), s.ID, cloud.Exec{Argv: []string{"/bin/sh", "-c", script + " 2>&1"}, Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

func TestDocker(t *testing.T) {
	t.Parallel()
	provisiontest.Run(t, func(t *testing.T) provisiontest.Harness {
		l := newLab(t)
		var at sync.Map
		l.Docker = l.engine(t, provision.DockerOptions{Data: l.data, Fault: func(id, step string) {
			if cut, _ := at.Load(id); cut == step {
				runtime.Goexit()
			}
		}})
		return provisiontest.Harness{
			Engine: l, Spec: l.spec, Bulk: 200 << 20, Image: l.name, Containers: l.count,
			Cut: func(id, step string) { at.Store(id, step) },
			Die: func(t *testing.T, id string) {
				if _, err := l.api.ContainerKill(t.Context(), "nuage-"+id, client.ContainerKillOptions{Signal: "KILL"}); err != nil {
					t.Error(err)
				}
			},
			Say: func(t *testing.T, id, line string) {
				l.sh(t, cloud.Spec{ID: id}, "echo '"+line+"' >/proc/1/fd/1")
			},
		}
	})
}
