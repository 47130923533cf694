package command

import (
	"context"
	"fmt"

	"plil.net/nuage/cloud"
)

// whoamiView is an account as it sees itself.
type whoamiView struct {
	Name   string     `json:"name"`
	Group  string     `json:"group"`
	Role   cloud.Role `json:"role"`
	Sites  int        `json:"sites"` // owned
	Limits limitsView `json:"limits"`
}

func whoami(ctx context.Context, j *job) error {
	a, err := j.Cloud.WhoAmI(ctx, j.Who)
	if err != nil {
		return err
	}
	sites, err := j.Cloud.Sites(ctx, j.Who, false)
	if err != nil {
		return err
	}
	v := whoamiView{Name: a.Name, Group: a.Group, Role: a.Role, Limits: limitsOf(j.Cloud.Limits(a))}
	for _, s := range sites {
		if s.Owner == a.Name {
			v.Sites++
		}
	}
	return j.show(v, func() {
		j.facts([2]string{"name", v.Name}, [2]string{"group", v.Group}, [2]string{"role", string(v.Role)},
			[2]string{"sites", fmt.Sprintf("%d of %d", v.Sites, v.Limits.MaxSites)},
			[2]string{"each site", v.Limits.forSite(cloud.PHP)})
	})
}
