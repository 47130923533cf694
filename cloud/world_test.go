package cloud_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/home"
	"plil.net/nuage/provision/fake"
	"plil.net/nuage/store"
)

// world is all that outlives a gateway: its store, its homes and its engine. Clouds come and go on it.
type world struct {
	t       *testing.T
	store   cloud.Store
	homes   cloud.Homes
	engine  *fake.Engine
	network netip.Prefix
}

var networks atomic.Int32 // each test has its own, so that their containers do not meet

func newWorld(t *testing.T) *world {
	t.Helper()
	homes, err := home.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, store: store.NewMemory(), homes: homes, engine: fake.New(),
		network: netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 70, byte(networks.Add(1)), 0}), 24),
	}
	t.Cleanup(func() { w.engine.Close() })
	return w
}

// routes is a publisher that shows what it was given.
type routes struct {
	mu   sync.Mutex
	last []cloud.Route
}

func (r *routes) Publish(_ context.Context, list []cloud.Route) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = list
	return nil
}

func (r *routes) hosts() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var hosts []string
	for _, route := range r.last {
		hosts = append(hosts, route.Host+"="+string(route.State))
	}
	return strings.Join(hosts, " ")
}

// live is a Cloud on the world, with its routes.
type live struct {
	*cloud.Cloud
	routes *routes
}

func (w *world) open(fault func(string)) live { return w.openWith(fault, func(*cloud.Options) {}) }

func (w *world) openWith(fault func(string), change func(*cloud.Options)) live {
	w.t.Helper()
	r := &routes{}
	o := cloud.Options{
		Store: w.store, Engine: w.engine, Homes: w.homes, Publisher: r, Fault: fault,
		Groups:       []cloud.Group{{Name: "students", Network: w.network, Limits: cloud.Limits{MaxSites: 3, Memory: 128 << 20, CPUs: 1}}},
		DefaultGroup: "students", Domain: "plil.net", Door: cloud.Door{Host: "plil.net", SSHPort: 22, HTTPPort: 80},
		OperatorKey: operator.Key, FirstUID: firstUID(), SameUID: os.Geteuid() != 0,
	}
	change(&o)
	c, err := cloud.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return live{c, r}
}

var operator = cloud.Who{Account: cloud.Operator, Key: "SHA256:operator"}

// person makes an account with a key.
func (w *world) person(c live, name string) cloud.Who {
	w.t.Helper()
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = c.AddAccount(context.Background(), operator, cloud.NewAccount{Name: name, Key: string(ssh.MarshalAuthorizedKey(key))})
	if err != nil {
		w.t.Fatal(err)
	}
	return cloud.Who{Account: name, Key: ssh.FingerprintSHA256(key)}
}

// site makes a site.
func (w *world) site(c live, who cloud.Who, name string, kind cloud.Type) cloud.Site {
	w.t.Helper()
	s, err := c.CreateSite(context.Background(), who, cloud.NewSite{Name: name, Type: kind})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// rests says what there is of any site: in the store, in the engine, on disk.
func (w *world) rests() string {
	w.t.Helper()
	var found []string
	err := w.store.View(context.Background(), func(tx cloud.Tx) error {
		sites, err := tx.Sites()
		for _, s := range sites {
			found = append(found, fmt.Sprintf("record %s %s", s.Name, s.State))
			if _, err := os.Stat(w.homes.Path(s)); err == nil {
				found = append(found, "home of "+s.Name)
			}
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	containers, err := w.engine.List(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, k := range containers {
		found = append(found, fmt.Sprintf("container %s running=%v", k.Name, k.Running))
	}
	return strings.Join(found, ", ")
}

// soon polls until ok, for a bounded time.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// firstUID is one that a home may be given to.
func firstUID() int {
	if uid := os.Geteuid(); uid != 0 {
		return uid
	}
	return 1_999_000
}
