package store

import (
	"runtime"
	"slices"

	"plil.net/nuage/cloud"
)

func (t tx) Site(id string) (cloud.Site, error) {
	sealed, err := t.sealed(sites, id, "site")
	if err != nil {
		return cloud.Site{}, err
	}
	return t.known.site(id, sealed)
}

func (t tx) SiteByName(name string) (cloud.Site, error) {
	id, err := t.idOf(name)
	if err != nil {
		return cloud.Site{}, err
	}
	return t.Site(id)
}

func (t tx) idOf(name string) (string, error) {
	sealed, err := t.sealed(names, name, "site")
	if err != nil {
		return "", err
	}
	id, err := t.known.ids.decode(names, name, sealed)
	return *id, err
}

// Sites goes through the names, which are sorted.
func (t tx) Sites() (all []cloud.Site, err error) {
	all = slices.Grow(all, t.known.ids.size())
	t.each(names, "", func(name string, sealed []byte) bool {
		var s cloud.Site
		id, bad := t.known.ids.decode(names, name, sealed)
		if err = bad; err == nil {
			s, err = t.Site(*id)
		}
		if all = append(all, s); len(all)%atATime == 0 {
			runtime.Gosched()
		}
		return err == nil
	})
	return all, err
}

// atATime is how many sites are read before others have their turn: visitors should not wait for all of a thousand.
const atATime = 64

func (t tx) PutSite(s cloud.Site) error {
	if !t.writable {
		return frozen(sites, s.ID)
	}
	holder, err := t.idOf(s.Name)
	switch {
	case err == nil && holder != s.ID:
		return cloud.Errorf(cloud.Conflict, "the name %q is taken", s.Name).WithHint("choose another name")
	case err != nil && cloud.KindOf(err) != cloud.NotFound:
		return err
	}
	if err := t.releaseName(s.ID); err != nil {
		return err
	}
	if err := t.save(sites, s.ID, s); err != nil {
		return err
	}
	return t.save(names, s.Name, s.ID)
}

func (t tx) DeleteSite(id string) error {
	if !t.writable {
		return frozen(sites, id)
	}
	if err := t.releaseName(id); err != nil {
		return err
	}
	t.known.sites.forget(id)
	return t.drop(sites, id)
}

// releaseName frees the name that the site has in the store, if it is there.
func (t tx) releaseName(id string) error {
	old, err := t.Site(id)
	switch {
	case err == nil:
		t.known.ids.forget(old.Name)
		return t.drop(names, old.Name)
	case cloud.KindOf(err) == cloud.NotFound:
		return nil
	}
	return err
}
