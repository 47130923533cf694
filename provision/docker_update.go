package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"plil.net/nuage/cloud"
)

// Two containers cannot run at one address. So the old one of an update stands still under another name while the new one
// is tried, and takes its name again if that does not come up. Which of the two counts follows from their names alone: where
// there is one put aside, whatever was begun with it is undone. So a crash at any step leaves the site as it was.

// revertLimit is the time to bring back what ran before, also when the time of the one who asked is up.
const revertLimit = 20 * time.Second

func asideName(container string) string { return container + "-before" }

// Update implements cloud.Engine.
func (d *Docker) Update(ctx context.Context, s cloud.Spec, may func(image string) bool) error {
	return d.bring(ctx, s, may)
}

// ImageID implements cloud.Engine.
func (d *Docker) ImageID(ctx context.Context, image string) string {
	return d.imageID(ctx, or(image, d.Image))
}

// whole is the container of a site, after an update or another replacement that was cut has been undone; nil if there is
// none.
func (d *Docker) whole(ctx context.Context, id string) (*container.InspectResponse, error) {
	name := containerName(id)
	before, err := d.find(ctx, asideName(name))
	if err != nil {
		return nil, err
	}
	if before != nil {
		d.Log.Info("replacement of a container undone", "container", name)
		if err := d.back(ctx, id, before.ID); err != nil {
			return nil, err
		}
	}
	found, err := d.api.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	switch {
	case errdefs.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, d.explain(err)
	case found.Container.Config.Labels[labelData] != d.Data:
		return nil, cloud.Errorf(cloud.Unavailable, "container %q is not of this gateway", name).
			WithHint("for the admin: docker rm %s", name)
	}
	return &found.Container, nil
}

// aside gives a container, which must not run from here on, the other name.
func (d *Docker) aside(ctx context.Context, k *container.InspectResponse) error {
	if k.State.Running {
		grace := int(d.Grace.Seconds())
		if _, err := d.api.ContainerStop(ctx, k.ID, client.ContainerStopOptions{Timeout: &grace}); err != nil {
			return d.explain(err)
		}
	}
	name := asideName(containerName(k.Config.Labels[labelSite]))
	_, err := d.api.ContainerRename(ctx, k.ID, client.ContainerRenameOptions{NewName: name})
	return d.explain(err)
}

// back gives the container that was put aside its name again, in place of the one that has it.
func (d *Docker) back(ctx context.Context, id, before string) error {
	tried, err := d.ours(ctx, id)
	if err != nil {
		return err
	}
	if tried != nil {
		if err := d.removeContainer(ctx, tried.ID); err != nil {
			return err
		}
	}
	d.Fault(id, "revert.removed")
	_, err = d.api.ContainerRename(ctx, before, client.ContainerRenameOptions{NewName: containerName(id)})
	return d.explain(err)
}

// update brings the site up on another image, and goes back to have where that does not answer.
func (s start) update(ctx context.Context, have *container.InspectResponse, same bool, image string) error {
	if err := s.aside(ctx, have); err != nil {
		return err
	}
	s.Fault(s.spec.ID, "update.aside")
	why, err := s.try(ctx)
	if ctx.Err() != nil {
		return ctx.Err() // the next one undoes it
	}
	if err == nil && why == "" {
		s.Log.Info("image updated", "site", s.spec.Name, "image", image)
		return s.removeContainer(ctx, have.ID)
	}
	if err != nil {
		why = cloud.Explain(err, func() string { return "-" }).Message
	}
	words := s.lastWords(ctx, s.spec.ID)
	s.Log.Warn("new image did not come up", "site", s.spec.Name, "image", image, "why", why, "err", err, "words", words)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revertLimit)
	defer cancel()
	if err := s.back(ctx, s.spec.ID, have.ID); err != nil {
		return err
	}
	s.Fault(s.spec.ID, "revert.renamed")
	if err := s.again(ctx, have, same); err != nil {
		return err // neither comes up: that is not the image's fault
	}
	return &cloud.Reverted{Image: image, Reason: why, Cause: fmt.Errorf("last words of the container: %w", words)}
}

// try brings up a container of the new image. why is what that failed by.
func (s start) try(ctx context.Context) (why string, err error) {
	id, err := s.create(ctx)
	if err != nil {
		return "", err
	}
	s.Fault(s.spec.ID, "update.created")
	if err := s.start(ctx, id); err != nil {
		return "", err
	}
	s.Fault(s.spec.ID, "update.started")
	why, err = s.ready(ctx, s.spec, id, true)
	s.Fault(s.spec.ID, "update.ready")
	return why, err
}
