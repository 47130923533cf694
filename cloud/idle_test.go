package cloud_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// TestASiteChoosesItsIdleTime as far as its group allows.
func TestASiteChoosesItsIdleTime(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.openWith(nil, func(o *cloud.Options) {
		o.Groups[0].Idle, o.Groups[0].MaxIdle = time.Hour, 2*time.Hour
		o.Images = map[string]string{"8.2": "nuage/php:8.2", "8.4": "nuage/php:8.4"}
	})
	defer c.Close()
	alice := w.person(c, "alice")
	w.site(c, alice, "blog", cloud.PHP)
	for _, step := range []struct {
		as   cloud.Who
		set  string
		want time.Duration
		kind cloud.Kind
	}{
		{alice, "idle=10m", 10 * time.Minute, ""},
		{alice, "idle=2h", 2 * time.Hour, ""},
		{alice, "idle=3h", 2 * time.Hour, cloud.Quota},
		{alice, "idle=never", 2 * time.Hour, cloud.Quota},
		{alice, "idle=soon", 2 * time.Hour, cloud.Invalid},
		{alice, "idle=", time.Hour, ""},
		{alice, "php=7.4", time.Hour, cloud.Invalid},
		{alice, "php=8.4", time.Hour, ""},
	} {
		if _, err := c.SetSite(ctx, step.as, "blog", []string{step.set}); cloud.KindOf(err) != step.kind {
			t.Errorf("%s: %v", step.set, err)
		}
		if s, err := c.Site(ctx, alice, "blog"); err != nil || c.IdleOf(s) != step.want {
			t.Errorf("%s: idle %s, %v", step.set, c.IdleOf(s), err)
		}
	}
	s, _ := c.Site(ctx, alice, "blog")
	if image := w.engine.Spec(s.ID).Image; image != "nuage/php:8.4" {
		t.Errorf("it runs %q", image)
	}
	if err := c.SetAccount(ctx, operator, "alice", []string{"idle=never"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SetSite(ctx, alice, "blog", []string{"idle=never"}); err != nil {
		t.Errorf("who may never sleep: %v", err)
	}
}

// TestShortOfMemory: the site that was not used for the longest time sleeps first; one that is used never does.
func TestShortOfMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var short atomic.Bool
	c := w.openWith(nil, func(o *cloud.Options) { o.Pressed = short.Load; o.Groups[0].MaxSites = 10 })
	ctx := context.Background()
	run(t, c)
	alice := w.person(c, "alice")
	var names []string
	for _, name := range []string{"first", "held", "b", "d", "e", "f"} {
		s := w.site(c, alice, name, cloud.PHP)
		_, release, err := c.Hold(ctx, s.ID)
		if err != nil {
			t.Fatal(err)
		}
		if name == "held" {
			defer release()
		} else {
			names = append(names, s.Name)
			release()
		}
	}
	asleep := func() (list []string) {
		sites, err := c.Sites(ctx, alice, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sites {
			if s.State == cloud.Asleep {
				list = append(list, s.Name)
			}
		}
		return list
	}
	if n := asleep(); len(n) > 0 {
		t.Errorf("asleep without need: %v", n)
	}
	short.Store(true)
	soon(t, "the longest unused sleep", func() bool { return slices.Contains(asleep(), names[0]) })
	soon(t, "all that nobody uses sleep", func() bool { return len(asleep()) == len(names) })
	if s, _ := c.Site(ctx, alice, "held"); s.State != cloud.Running {
		t.Errorf("a site in use is %s", s.State)
	}
	soon(t, "status tells of each", func() bool {
		st, err := c.Status(ctx, operator)
		return err == nil && len(st.Repairs) >= len(names)
	})
}

// TestWhoSleepsFirst: one round for want of memory takes the four that were not used for the longest time, those that shall
// never sleep last of all.
func TestWhoSleepsFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var asked atomic.Int32
	var later atomic.Int64
	c := w.openWith(nil, func(o *cloud.Options) {
		o.Pressed = func() bool { return asked.CompareAndSwap(1, 2) } // once
		o.Groups[0].MaxSites, o.Groups[0].Idle, o.Groups[0].MaxIdle = 10, time.Hour, 0
		o.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	run(t, c)
	alice := w.person(c, "alice")
	sites := many(t, c, alice, 7)
	if _, err := c.SetSite(context.Background(), alice, "site0", []string{"idle=never"}); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 5, 2, 6, 1, 4, 3} { // from the one unused for the longest time to the last one
		visit(t, c, sites[i])
		later.Add(int64(time.Minute))
	}
	asked.Store(1)
	soon(t, "four sleep", func() bool {
		all, err := c.Sites(context.Background(), alice, false)
		n := 0
		for _, s := range all {
			if s.State == cloud.Asleep {
				n++
			}
		}
		return err == nil && n == 4
	})
	for i, s := range sites {
		want := cloud.Running
		if slices.Contains([]int{5, 2, 6, 1}, i) {
			want = cloud.Asleep
		}
		if got := c.state(t, alice, s.Name); got != want {
			t.Errorf("%s is %s; want %s", s.Name, got, want)
		}
	}
}
