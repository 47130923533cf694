package provision

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"plil.net/nuage/cloud"
)

// Up implements cloud.Engine.
func (d *Docker) Up(ctx context.Context, s cloud.Spec) error { return d.bring(ctx, s, nil) }

// start is a site on its way up.
type start struct {
	*Docker
	spec cloud.Spec
	at   place
	want client.ContainerCreateOptions
}

// bring is Up, or with may Update. At most Starts of them work at once: hundreds of containers starting together come up
// without network now and then.
func (d *Docker) bring(ctx context.Context, s cloud.Spec, may func(image string) bool) error {
	select {
	case d.starts <- struct{}{}:
		defer func() { <-d.starts }()
	case <-ctx.Done():
		return ctx.Err()
	}
	allowed := false
	ask := may
	if may != nil {
		ask = func(image string) bool { allowed = may(image); return allowed }
	}
	err := d.lift(ctx, s, ask)
	if !errors.Is(err, cloud.ErrTrouble) || allowed || ctx.Err() != nil { // an update has its own way back
		return err
	}
	d.Log.Warn("a site was not started, for no fault of its own; trying once more", "site", s.Name, "err", err, "cause", errors.Unwrap(err))
	return d.lift(ctx, s, ask)
}

// lift is bring in its turn, tried once.
func (d *Docker) lift(ctx context.Context, s cloud.Spec, may func(image string) bool) error {
	if err := d.Ping(ctx); err != nil {
		return err
	}
	at, release, err := d.network(ctx, s)
	if err != nil {
		return err
	}
	defer release()
	s.CPUs = d.cpus(ctx, s.CPUs)
	up := start{d, s, at, d.request(s, at)}
	have, err := d.whole(ctx, s.ID)
	if err != nil {
		return err
	}
	if have == nil {
		return up.first(ctx)
	}
	same := have.Config.Labels[labelSpec] == up.want.Config.Labels[labelSpec] && !have.State.Dead
	if s.Bare && !have.State.Running { // in its log, another run may be ready
		same = false
	}
	if same && have.State.Running {
		if err := d.enclose(ctx, s.Group, s.ID); err != nil {
			return err
		}
		return up.wait(ctx, have.ID)
	}
	if image := d.imageID(ctx, up.want.Config.Image); may != nil && image != "" && image != have.Image && may(image) {
		return up.update(ctx, have, same, image)
	}
	return up.again(ctx, have, same)
}

// first makes the container of a site that has none.
func (s start) first(ctx context.Context) error {
	id, err := s.create(ctx)
	if err != nil {
		return err
	}
	return s.run(ctx, id)
}

// again brings up a site on the image that its container has, which is another one if the spec is.
func (s start) again(ctx context.Context, have *container.InspectResponse, same bool) error {
	if same {
		return s.run(ctx, have.ID)
	}
	if s.imageID(ctx, have.Image) != "" {
		s.want.Config.Image = have.Image
	} else if s.imageID(ctx, s.want.Config.Image) == "" { // the old one stays until there is what to make the new one of
		return noImage(s.want.Config.Image)
	}
	s.Log.Info("container replaced", "site", s.spec.Name)
	if err := s.aside(ctx, have); err != nil {
		return err
	}
	id, err := s.create(ctx)
	if err != nil {
		return err
	}
	if err := s.removeContainer(ctx, have.ID); err != nil {
		return err
	}
	return s.run(ctx, id)
}

// run starts the container and waits until it is ready.
func (s start) run(ctx context.Context, id string) error {
	if err := s.start(ctx, id); err != nil {
		if errors.Is(err, cloud.ErrTrouble) && ctx.Err() == nil { // after a crash the engine may know no way out but a new one
			err = errors.Join(err, s.Remove(ctx, s.spec.ID))
		}
		return err
	}
	return s.wait(ctx, id)
}

func (s start) wait(ctx context.Context, id string) error {
	why, err := s.comesUp(ctx, id)
	if err != nil || why == "" {
		return err
	}
	var trouble error
	if s.killed(ctx, id) {
		trouble = cloud.ErrTrouble
	}
	return s.failed(ctx, s.spec, why, trouble)
}

// killed reports whether somebody else stopped or removed the container: that is no fault of the site.
func (d *Docker) killed(ctx context.Context, id string) bool {
	k, err := d.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return errdefs.IsNotFound(err)
	}
	s := k.Container.State
	return !s.Running && !s.OOMKilled && (s.ExitCode == 128+int(unix.SIGTERM) || s.ExitCode == 128+int(unix.SIGKILL))
}

func (s start) comesUp(ctx context.Context, id string) (why string, err error) {
	if s.spec.Bare {
		return s.speaksUp(ctx, id)
	}
	return s.ready(ctx, s.spec, id, false)
}

// imageID is "" for an image that is not there.
func (d *Docker) imageID(ctx context.Context, image string) string {
	i, err := d.api.ImageInspect(ctx, image)
	if err != nil {
		return ""
	}
	return i.ID
}

// create makes the container. Nobody else is at its address: that of before stands aside.
func (s start) create(ctx context.Context) (id string, err error) {
	id, err = s.createContainer(ctx, s.want)
	if errdefs.IsNotFound(err) && strings.Contains(err.Error(), "image") {
		return "", noImage(s.want.Config.Image).Because(err)
	}
	if err != nil {
		return "", s.explain(err)
	}
	if s.spec.Bare {
		return id, nil
	}
	if err := forgetNeighbour(bridge(s.at.id), s.spec.Address); err != nil { // it is no bridge, or none of this host
		s.Log.Debug("neighbour not forgotten", "site", s.spec.Name, "err", err)
	}
	return id, nil
}

func noImage(image string) *cloud.Error {
	hint := "for the admin: make image"
	if image != StandardImage {
		hint = "for the admin: docker pull " + image + ", or build it"
	}
	return cloud.Errorf(cloud.Unavailable, "image %q is not on the container engine", image).WithHint("%s", hint)
}

func (s start) start(ctx context.Context, id string) error {
	_, err := s.api.ContainerStart(ctx, id, client.ContainerStartOptions{})
	if err != nil && strings.Contains(err.Error(), "Address already in use") {
		return cloud.Errorf(cloud.Unavailable, "address %s of site %q is taken by a container that is not of this gateway", s.spec.Address, s.spec.Name).
			WithHint("for the admin: docker network inspect %.12s", s.at.id).Because(errors.Join(cloud.ErrTrouble, err))
	}
	if err != nil {
		return s.explain(err)
	}
	return s.enclose(ctx, s.spec.Group, s.spec.ID)
}

// Down implements cloud.Engine.
func (d *Docker) Down(ctx context.Context, id string) error {
	k, err := d.ours(ctx, id)
	if err != nil || k == nil {
		return err
	}
	grace := int(d.Grace.Seconds())
	_, err = d.api.ContainerStop(ctx, k.ID, client.ContainerStopOptions{Timeout: &grace})
	if errdefs.IsNotFound(err) {
		return nil
	}
	return d.explain(err)
}

// Remove implements cloud.Engine.
func (d *Docker) Remove(ctx context.Context, id string) error {
	for _, name := range []string{containerName(id), asideName(containerName(id))} {
		k, err := d.find(ctx, name)
		if err != nil {
			return err
		}
		if k == nil {
			continue
		}
		if err := d.removeContainer(ctx, k.ID); err != nil {
			return err
		}
	}
	return nil
}

func (d *Docker) removeContainer(ctx context.Context, id string) error {
	_, err := d.api.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if errdefs.IsConflict(err) { // somebody else is at it
		return d.gone(ctx, id)
	}
	if errdefs.IsNotFound(err) {
		return nil
	}
	return d.explain(err)
}

// ours looks a site's container up; nil if there is none of this gateway.
func (d *Docker) ours(ctx context.Context, id string) (*container.InspectResponse, error) {
	return d.find(ctx, containerName(id))
}

// find is ours by the container's name.
func (d *Docker) find(ctx context.Context, name string) (*container.InspectResponse, error) {
	k, err := d.api.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	switch {
	case errdefs.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, d.explain(err)
	case k.Container.Config.Labels[labelData] != d.Data:
		return nil, nil
	}
	return &k.Container, nil
}

// List implements cloud.Engine.
func (d *Docker) List(ctx context.Context) ([]cloud.Container, error) {
	if err := d.Ping(ctx); err != nil {
		return nil, err
	}
	found, err := d.api.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: client.Filters{}.Add("label", labelData+"="+d.Data, labelSite),
	})
	if err != nil {
		return nil, d.explain(err)
	}
	return listed(found.Items), nil
}

// listed are the sites' containers. One that was put aside counts only where there is no other: see whole.
func listed(items []container.Summary) []cloud.Container {
	all := make([]cloud.Container, 0, len(items))
	known := map[string]bool{}
	for _, aside := range []bool{false, true} {
		for _, k := range items {
			id := k.Labels[labelSite]
			if slices.Contains(k.Names, "/"+asideName(containerName(id))) != aside || known[id] {
				continue
			}
			known[id] = true
			address, _ := netip.ParseAddr(k.Labels[labelAddress])
			all = append(all, cloud.Container{
				ID: id, Name: k.Labels[labelName], Address: address, Running: k.State == container.StateRunning, Image: k.ImageID,
			})
		}
	}
	return all
}

// failed stops a container that did not come up; it stays for its log. trouble may be nil.
func (d *Docker) failed(ctx context.Context, s cloud.Spec, why string, trouble error) error {
	words := d.lastWords(ctx, s.ID)
	if err := d.Down(ctx, s.ID); err != nil {
		words = errors.Join(words, err)
	}
	hint := "see why: site logs " + s.Name
	if s.Bare { // which has none that people see
		hint = "ask your admin: the log says why"
	}
	return cloud.Errorf(cloud.Unavailable, "site %q did not come up: %s", s.Name, why).
		WithHint("%s", hint).Because(errors.Join(trouble, fmt.Errorf("last words of the container: %w", words)))
}
