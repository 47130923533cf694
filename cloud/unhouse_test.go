package cloud_test

import (
	"context"
	"errors"
	"testing"

	"plil.net/nuage/cloud"
	"plil.net/nuage/provision/fake"
)

// removing is an engine that tells when a container is about to be removed.
type removing struct {
	*fake.Engine
	about func(id string)
}

func (r *removing) Remove(ctx context.Context, id string) error {
	r.about(id)
	return r.Engine.Remove(ctx, id)
}

// TestNobodyIsLedToAContainerThatGoesRegression: a site that becomes static is so for visitors before its container goes,
// which may take the engine long.
func TestNobodyIsLedToAContainerThatGoesRegression(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	engine, removed := &removing{Engine: w.engine}, false
	c := w.openWith(nil, func(o *cloud.Options) { o.Engine = engine })
	defer c.Close()
	alice := w.person(c, "alice")
	s := w.site(c, alice, "blog", cloud.PHP)
	engine.about = func(id string) {
		removed = true
		if route := c.routes.last[0]; route.Type != cloud.Static {
			t.Errorf("the table leads to %+v", route)
		}
		if at, _, err := c.Hold(ctx, id); !errors.Is(err, cloud.ErrWaking) {
			t.Errorf("a visitor of the table before is led to %s, %v", at, err)
		}
	}
	if _, err := c.SetSite(ctx, alice, "blog", []string{"type=static"}); err != nil || !removed {
		t.Fatalf("set: %v, removed %v", err, removed)
	}
	if at, _, err := c.Hold(ctx, s.ID); !errors.Is(err, cloud.ErrWaking) {
		t.Errorf("a visitor who waited is led to %s, %v", at, err)
	}
}
