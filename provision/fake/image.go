package fake

import (
	"cmp"
	"context"

	"plil.net/nuage/cloud"
)

// SetImage makes the name of an image, "" for the standard one, lead to another. No container of one that does not work
// comes up.
func (e *Engine) SetImage(name, id string, works bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.images[name], e.broken[id] = id, !works
}

// SetFault has fault called with each step of an Update of a site.
func (e *Engine) SetFault(fault func(id, step string)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fault = fault
}

// Containers counts what there is of a site, also what an Update has put aside.
func (e *Engine) Containers(id string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sites[id] != nil {
		n++
	}
	if e.before[id] != nil {
		n++
	}
	return n
}

// ImageID implements cloud.Engine.
func (e *Engine) ImageID(_ context.Context, image string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.imageID(image)
}

func (e *Engine) imageID(name string) string { return cmp.Or(e.images[name], name, "standard") }

// Update implements cloud.Engine, in the steps of Docker.
func (e *Engine) Update(ctx context.Context, spec cloud.Spec, may func(image string) bool) error {
	return e.bring(ctx, spec, may)
}

func (e *Engine) update(old *site, spec cloud.Spec, image string) error {
	id := spec.ID
	e.step(id, "update.aside", func() { delete(e.sites, id); e.before[id] = old })
	s := &site{spec: spec, image: image, log: newJournal()}
	e.step(id, "update.created", func() { e.sites[id] = s })
	var failed error
	e.step(id, "update.started", func() { failed = e.start(s) })
	e.step(id, "update.ready", func() {})
	if failed == nil {
		e.step(id, "", func() { delete(e.before, id) })
		return nil
	}
	e.undo(id)
	e.step(id, "revert.renamed", func() {})
	e.mu.Lock()
	defer e.mu.Unlock()
	old.spec = spec
	if err := e.start(old); err != nil {
		return err
	}
	return &cloud.Reverted{Image: image, Reason: "its image is broken", Cause: failed}
}

// undo brings back what an Update has put aside.
func (e *Engine) undo(id string) {
	e.mu.Lock()
	old := e.before[id]
	e.mu.Unlock()
	if old == nil {
		return
	}
	e.step(id, "revert.removed", func() { e.stop(e.sites[id]); delete(e.sites, id) })
	e.step(id, "", func() { delete(e.before, id); e.sites[id] = old })
}

// step does something, and is where a test may cut.
func (e *Engine) step(id, name string, do func()) {
	e.mu.Lock()
	do()
	fault := e.fault
	e.mu.Unlock()
	fault(id, name)
}
