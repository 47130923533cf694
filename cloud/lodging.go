package cloud

import (
	"context"
	"time"
)

// A static site is served from its home, and needs no container. Its programs do: rsync, git, a shell. They lodge in one
// that has no network and no web server. The first of them brings it up, and it goes once nobody has held the site for a
// while. The store, the site's state and its routes know nothing of it, so what a crash leaves, Reconcile removes.

// lodgingIdle is for how long a container waits for the next program of a static site, at most.
const lodgingIdle = 30 * time.Second

// lodge makes sure that there is a container for the programs of a static site, and keeps it until release is called.
func (c *Cloud) lodge(ctx context.Context, s Site) (release func(), err error) {
	if c.Engine.Name() == "none" {
		return nil, Errorf(Invalid, "%q is a static site: on this host it has files and no programs", s.Name).
			WithHint("upload with sftp, or with scp without -O: %s", c.Door.Upload("./build/*", s.Name, s.Root))
	}
	release = c.holds.take(s.ID, c.Now) // first: what is found from now on stays
	for n := 0; n < wakeAgain && err == nil && !c.sure.of(s.ID); n++ {
		err = c.begin(ctx, s.ID, c.moveIn)
	}
	if err == nil && !c.sure.of(s.ID) {
		err = Errorf(Unavailable, "%q is being changed", s.Name).WithHint("try again").Because(ErrWaking)
	}
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// moveIn brings up the container for the programs of a static site.
func (c *Cloud) moveIn(ctx context.Context, id string) error {
	s, done, err := c.place(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	switch err := usable(s); {
	case err != nil:
		return err
	case s.Type != Static: // since it was found
		return Errorf(Unavailable, "%q has just become a PHP site", s.Name).WithHint("try again").Because(ErrWaking)
	case s.State != Running:
		return c.notRunning(s)
	}
	c.lodged.Store(id, true) // also where it does not come up: the reaper sees to what there is of it
	era := c.sure.look()
	if err := c.Engine.Up(ctx, c.spec(s)); err != nil {
		return err
	}
	c.sure.seen(id, era)
	return nil
}

// lodges reports whether a static site shall have a container now.
func (c *Cloud) lodges(id string) bool {
	_, ok := c.lodged.Load(id)
	return ok
}

// contains reports whether programs of a site may run in a container.
func (c *Cloud) contains(s Site) bool { return s.Type == PHP || c.lodges(s.ID) }

// vacate removes the container of a static site, if it has one, and whatever runs in it.
func (c *Cloud) vacate(ctx context.Context, id string) error {
	if !c.lodges(id) {
		return nil
	}
	return c.remove(ctx, id)
}

// depart is vacate for one that nobody uses. Who comes from here on waits for the site's turn.
func (c *Cloud) depart(ctx context.Context, id string) error {
	c.sure.forget(id)
	if _, held := c.holds.unused(id, c.Now()); held {
		return nil // who holds it may be led to it, or finds that it has to be looked at
	}
	return c.vacate(ctx, id)
}

// remove removes a site's container. Where the engine fails at it, Reconcile finds that nobody needs it.
func (c *Cloud) remove(ctx context.Context, id string) error {
	c.sure.forget(id) // its end is no death
	c.lodged.Delete(id)
	return c.Engine.Remove(ctx, id)
}
