package cloud_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// TestAnUploadEndsAtTheLimit: to the byte, and goes on once there is room.
func TestAnUploadEndsAtTheLimit(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	alice := w.person(c, "alice")
	if err := c.SetAccount(ctx, operator, "alice", []string{"disk=1MiB"}); err != nil {
		t.Fatal(err)
	}
	w.site(c, alice, "blog", cloud.Static)
	a, site, err := c.Files(ctx, alice, "blog")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	before, err := a.Space(ctx)
	if err != nil {
		t.Fatal(err)
	}
	const packet = 32 << 10
	written := int64(0)
	for err == nil && written <= 2<<20 {
		if err = a.Grow(ctx, packet); err == nil {
			written += packet
			file := w.homes.Path(site) + "/f"
			if err := os.WriteFile(file, make([]byte, written), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if cloud.KindOf(err) != cloud.Quota || written > 1<<20-before.Used || written < 1<<20-before.Used-packet {
		t.Errorf("ended after %d of %d bytes: %v", written, 1<<20-before.Used, err)
	}
	if want := "disk is full: "; err == nil || len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
		t.Errorf("message %v", err)
	}
	err = nil
	for i := 0; i < 20 && err == nil; i++ { // what is left is less than a packet
		err = a.Mkdir(fmt.Sprintf("/home/site/d%d", i), 0o755)
	}
	if cloud.KindOf(err) != cloud.Quota {
		t.Errorf("directories beyond the limit: %v", err)
	}
	if err := a.Grow(ctx, 1<<62); cloud.KindOf(err) != cloud.Quota {
		t.Errorf("a claim of everything: %v", err)
	}
	if err := a.Remove("/home/site/f"); err != nil {
		t.Fatal(err)
	}
	soon(t, "room again", func() bool { return a.Grow(ctx, packet) == nil })
	if err := c.SetAccount(ctx, operator, "alice", []string{"disk=0B"}); err != nil {
		t.Fatal(err)
	}
	soon(t, "no limit", func() bool { return a.Grow(ctx, 1<<40) == nil })
}

// TestEmptyFilesCount: they take inodes, so they end at the limit too, over SFTP and by what programs make. What is there
// can be opened, emptied and removed all the same.
func TestEmptyFilesCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(nil)
	ctx := context.Background()
	run(t, c)
	alice := w.person(c, "alice")
	if err := c.SetAccount(ctx, operator, "alice", []string{"disk=1MiB"}); err != nil {
		t.Fatal(err)
	}
	s := w.site(c, alice, "blog", cloud.PHP)
	a, _, err := c.Files(ctx, alice, "blog")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	make1 := func(n int) error {
		f, err := a.OpenFile(fmt.Sprintf("/home/site/%d", n), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
		if err == nil {
			err = f.Close()
		}
		return err
	}
	n := 0
	for n <= 256 && err == nil {
		if err = make1(n); err == nil {
			n++
		}
	}
	if cloud.KindOf(err) != cloud.Quota || n < 230 {
		t.Fatalf("after %d files: %v", n, err)
	}
	if err := make1(0); err != nil {
		t.Errorf("what is there: %v", err)
	}

	_, release, err := c.Hold(ctx, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	shut := func() bool { s, err := c.Site(ctx, alice, "blog"); return err == nil && s.Full }
	for i := range 20 {
		if err := os.WriteFile(fmt.Sprintf("%s/www/empty%d", w.homes.Path(s), i), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	soon(t, "it is read-only", shut)
	for i := range n {
		if err := a.Remove(fmt.Sprintf("/home/site/%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	soon(t, "it may write again", func() bool { return !shut() })
	if err := make1(0); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// endless are homes of which one is never done with being counted.
type endless struct {
	cloud.Homes
	name  string
	began chan struct{} // gets something when counting begins
}

func (e endless) Inspect(s cloud.Site) (cloud.Home, error) {
	h, err := e.Homes.Inspect(s)
	if s.Name != e.name {
		return h, err
	}
	return endlessHome{h, e.began}, err
}

type endlessHome struct {
	cloud.Home
	began chan struct{}
}

func (h endlessHome) Used(ctx context.Context) (int64, error) {
	select {
	case h.began <- struct{}{}:
	default:
	}
	<-ctx.Done()
	return 0, ctx.Err()
}

// TestAHomeWithoutEndRegression: who has very many files held up the disk limits of all others.
func TestAHomeWithoutEndRegression(t *testing.T) {
	t.Parallel()
	began := make(chan struct{}, 1)
	c, used := runs(t, time.Hour, func(h cloud.Homes) cloud.Homes { return endless{h, "many.plil.net", began} })
	used("many")
	<-began
	blog := used("blog")
	if err := os.WriteFile(c.Homes.Path(blog)+"/www/big", make([]byte, 2<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	soon(t, "the other is read-only", func() bool { return isFull(c, "blog") })
}

// TestAHomeThatIsNeverCounted has to rest after a while: what cannot be counted has no limit.
func TestAHomeThatIsNeverCounted(t *testing.T) {
	t.Parallel()
	c, used := runs(t, time.Second, func(h cloud.Homes) cloud.Homes { return endless{h, "many.plil.net", nil} })
	used("many")
	soon(t, "it is read-only", func() bool { return isFull(c, "many") })
}

// runs is a cloud that looks after the disk limit of 1 MiB of the sites which used makes and holds.
func runs(t *testing.T, most time.Duration, wrap func(cloud.Homes) cloud.Homes) (c live, used func(name string) cloud.Site) {
	t.Helper()
	w := newWorld(t)
	c = w.openWith(nil, func(o *cloud.Options) { o.CountMost = most })
	c.Cloud.Homes = wrap(c.Cloud.Homes)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; c.Close() })
	alice := w.person(c, "alice")
	if err := c.SetAccount(ctx, operator, "alice", []string{"disk=1MiB"}); err != nil {
		t.Fatal(err)
	}
	return c, func(name string) cloud.Site {
		t.Helper()
		s := w.site(c, alice, name, cloud.PHP)
		_, release, err := c.Hold(ctx, s.ID)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(release)
		return s
	}
}

func isFull(c live, name string) bool {
	s, err := c.Site(context.Background(), operator, name)
	return err == nil && s.Full
}

// TestAProgramThatFillsItsHome finds it read-only, until there is room again.
func TestAProgramThatFillsItsHome(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(nil)
	ctx := context.Background()
	run(t, c)
	alice := w.person(c, "alice")
	if err := c.SetAccount(ctx, operator, "alice", []string{"disk=1MiB"}); err != nil {
		t.Fatal(err)
	}
	s := w.site(c, alice, "blog", cloud.PHP)
	_, release, err := c.Hold(ctx, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	shut := func() bool {
		s, err := c.Site(ctx, alice, "blog")
		return err == nil && s.Full && w.engine.Spec(s.ID).ReadOnly
	}
	file := w.homes.Path(s) + "/www/big"
	if err := os.WriteFile(file, make([]byte, 2<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	soon(t, "it is read-only", shut)
	if err := os.Truncate(file, 1<<20-64<<10); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	soon(t, "it may write again", func() bool {
		s, err := c.Site(ctx, alice, "blog")
		return err == nil && !s.Full && !w.engine.Spec(s.ID).ReadOnly && w.engine.Ups(s.ID) == 3
	})
}

// restless are homes that cannot be counted while they move.
type restless struct {
	cloud.Homes
	moving atomic.Bool
}

func (r *restless) Inspect(s cloud.Site) (cloud.Home, error) {
	h, err := r.Homes.Inspect(s)
	return restlessHome{h, r}, err
}

type restlessHome struct {
	cloud.Home
	of *restless
}

func (h restlessHome) Used(ctx context.Context) (int64, error) {
	if h.of.moving.Load() {
		return 0, cloud.Errorf(cloud.Conflict, "it moves").Because(cloud.ErrRestless)
	}
	return h.Home.Used(ctx)
}

// TestARestlessHomeRegression: a program that moves directories about, so that they cannot be counted, wrote without limit.
func TestARestlessHomeRegression(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(nil)
	homes := &restless{Homes: c.Cloud.Homes}
	c.Cloud.Homes = homes
	ctx := context.Background()
	run(t, c)
	alice := w.person(c, "alice")
	s := w.site(c, alice, "blog", cloud.PHP)
	_, release, err := c.Hold(ctx, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	full := func() bool { s, err := c.Site(ctx, alice, "blog"); return err == nil && s.Full }
	homes.moving.Store(true)
	soon(t, "it is read-only", full)
	homes.moving.Store(false)
	soon(t, "it may write again", func() bool { return !full() })
}

// keeping are homes on a file system that holds their limits, while it does.
type keeping struct {
	cloud.Homes
	off    atomic.Bool
	limits sync.Map // by the id of a site
}

func (k *keeping) Quotas() string {
	if k.off.Load() {
		return ""
	}
	return "ext4"
}

func (k *keeping) Limit(s cloud.Site, bytes int64) (held bool, err error) {
	if k.off.Load() {
		return false, nil
	}
	k.limits.Store(s.ID, bytes)
	return true, nil
}

// TestTheFileSystemHoldsLimits: they follow the account, what somebody else has set is made right, and nothing is made read-only;
// what was before, may write again. Switched off, the gateway counts.
func TestTheFileSystemHoldsLimits(t *testing.T) {
	t.Parallel()
	homes := &keeping{}
	c, used := runs(t, time.Hour, func(h cloud.Homes) cloud.Homes { homes.Homes = h; return homes })
	ctx := context.Background()
	blog := used("blog")
	limit := func() int64 { n, _ := homes.limits.Load(blog.ID); return n.(int64) }
	if n := limit(); n != 1<<20 {
		t.Errorf("a new site is held to %d", n)
	}
	if err := c.SetAccount(ctx, operator, "alice", []string{"disk=2MiB"}); err != nil {
		t.Fatal(err)
	}
	if n := limit(); n != 2<<20 {
		t.Errorf("held to %d", n)
	}
	if s, err := c.Status(ctx, operator); err != nil || s.Limits != "kernel quotas (ext4)" {
		t.Errorf("status: %q, %v", s.Limits, err)
	}

	homes.off.Store(true)
	if s, err := c.Status(ctx, operator); err != nil || s.Limits != "counted" {
		t.Errorf("switched off, status: %q, %v", s.Limits, err)
	}
	if err := os.WriteFile(c.Homes.Path(blog)+"/www/big", make([]byte, 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	soon(t, "counted, it is read-only", func() bool { return isFull(c, "blog") })
	homes.limits.Store(blog.ID, int64(7))
	homes.off.Store(false)
	soon(t, "it may write again", func() bool { return !isFull(c, "blog") })
	if n := limit(); n != 2<<20 {
		t.Errorf("made right to %d", n)
	}
}
