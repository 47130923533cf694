package cloud

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// A site takes a new image when its container starts anyway: at a wake, or because somebody starts it. Up to
// updatesAtOnce wakes take one at a time; the others stay on the image they had until they sleep again. An image that has
// come up nowhere is not believed: after wrongImage sites that could not take it, one tries it in each retryImage.
const (
	updatesAtOnce = 2
	wrongImage    = 3
	retryImage    = 10 * time.Minute
)

// Held is a new image that a site could not take: it runs on the one it had.
type Held struct {
	Image  string    `json:"image"` // id of the new one
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
}

// renew is raise, and takes a new image if there is one. Somebody who asks for a start also gets one that did not come up
// before; a wake does not try that again. held tells what it could not take.
func (c *Cloud) renew(ctx context.Context, s Site, asked bool) (held *Reverted, err error) {
	if s.Type != PHP {
		return nil, c.Publish(ctx)
	}
	if s, err = c.housed(ctx, s); err != nil {
		return nil, err
	}
	image, offered, spec, era := "", false, c.spec(s), c.sure.look()
	err = c.Engine.Update(ctx, spec, func(id string) bool {
		offered = true
		known := s.Held != nil && s.Held.Image == id
		if !asked && known || !c.rollout.enter(id, asked, c.Now()) {
			return false
		}
		image = id
		return true
	})
	if errors.As(err, &held) {
		err = nil
		s.Held = &Held{Image: held.Image, Reason: held.Reason, Time: c.Now().UTC().Truncate(time.Second)}
		c.repaired("site %q stays on the image it had, because the new one did not come up: %s", s.Name, held.Reason)
	}
	if image != "" {
		c.rollout.leave(image, s.ID, err == nil && held == nil, held != nil, c.Now())
		c.images.forget()
	}
	c.Fault("update.up")
	// What was held is of no concern once there is another image, or none.
	over := s.Held != nil && !offered && c.Engine.ImageID(ctx, spec.Image) != s.Held.Image
	if held == nil && (image != "" || over) {
		s.Held = nil
	}
	if err == nil && (image != "" || over) {
		if err := c.put(ctx, s); err != nil {
			return held, err
		}
	}
	return held, c.raised(ctx, s, era, err)
}

// startOnImage starts a site on another image that somebody chose, and takes the choice back where that does not come up.
func (c *Cloud) startOnImage(ctx context.Context, s Site, before string) (Site, error) {
	if err := c.pause(ctx, s); err != nil {
		return s, err
	}
	s.State, s.Reason = Running, ""
	if err := c.rise(ctx, s); err != nil {
		return s, err
	}
	c.deaths.forget(s.ID)
	held, err := c.renew(ctx, s, true)
	if held == nil || err != nil {
		return s, err
	}
	chosen := s.Image
	s.Image, s.Held = before, nil
	if err := c.put(ctx, s); err != nil {
		return s, err
	}
	return s, Errorf(Unavailable, "%q does not come up with php %q: %s", s.Name, chosen, held.Reason).
		WithHint("it runs as before; its log may say more: %s", c.Door.SSH("site logs "+s.Name)).Because(held)
}

const outdatedTime = 2 * time.Second

// outdated counts the sites whose container has not the image that it should have. What cannot be found out is not counted.
func (c *Cloud) outdated(ctx context.Context, sites []Site) (n int) {
	ctx, cancel := context.WithTimeout(ctx, outdatedTime) // an engine that hangs must not hang status
	defer cancel()
	has, err := c.images.get(ctx, c.Engine)
	if err != nil {
		return 0
	}
	ids := map[string]string{}
	for _, s := range sites {
		id, asked := ids[s.Image]
		if !asked {
			id = c.Engine.ImageID(ctx, c.Images[s.Image])
			ids[s.Image] = id
		}
		if s.Type == PHP && id != "" && has[s.ID] != "" && has[s.ID] != id {
			n++
		}
	}
	return n
}

// imagesOld is how old an answer may be to which image each container has: an engine with 900 takes a tenth of a second and
// more to say it.
const imagesOld = 5 * time.Second

// images remembers which image the container of each site has. The zero value is ready.
type images struct {
	mu  sync.Mutex
	has map[string]string // by site; never changed
	at  time.Time         // when it was asked
}

func (i *images) get(ctx context.Context, e Engine) (map[string]string, error) {
	i.mu.Lock()
	has, asked := i.has, time.Now()
	young := asked.Sub(i.at) < imagesOld
	i.mu.Unlock()
	if young {
		return has, nil
	}
	containers, err := e.List(ctx)
	if err != nil {
		return nil, err
	}
	has = map[string]string{}
	for _, k := range containers {
		has[k.ID] = k.Image
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.has, i.at = has, asked
	return has, nil
}

// forget is called once a container has another image.
func (i *images) forget() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.at = time.Time{}
}

// missingImages tells of the images that sites could have, and that are not there.
func (c *Cloud) missingImages(ctx context.Context) (warnings []string) {
	if c.Engine.ImageID(ctx, "") == "" {
		warnings = append(warnings, "the standard image is not on the container engine: no new site comes up")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Images)) {
		if c.Engine.ImageID(ctx, c.Images[name]) == "" {
			warnings = append(warnings, fmt.Sprintf("image %q for php=%s is not on the container engine", c.Images[name], name))
		}
	}
	return warnings
}

// rollout knows which images came up, and how many sites are taking one. The zero value is ready.
type rollout struct {
	mu     sync.Mutex
	active int
	images map[string]*trial
}

type trial struct {
	cameUp bool
	failed map[string]bool // sites
	last   time.Time
}

// enter reports whether a site may take an image now. Who gets true leaves.
func (r *rollout) enter(image string, asked bool, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.of(image)
	wrong := !t.cameUp && len(t.failed) >= wrongImage && now.Sub(t.last) < retryImage
	if !asked && (wrong || r.active >= updatesAtOnce) {
		return false
	}
	r.active++
	return true
}

func (r *rollout) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.active
}

func (r *rollout) leave(image, site string, cameUp, failed bool, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active--
	t := r.of(image)
	t.cameUp = t.cameUp || cameUp
	if failed {
		t.failed[site], t.last = true, now
	}
}

func (r *rollout) of(image string) *trial {
	if r.images == nil {
		r.images = map[string]*trial{}
	}
	t := r.images[image]
	if t == nil {
		t = &trial{failed: map[string]bool{}}
		r.images[image] = t
	}
	return t
}
