package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"plil.net/nuage/cloud"
)

// siteView is a site for programs.
type siteView struct {
	Name        string      `json:"name"`
	Type        cloud.Type  `json:"type"`
	Owner       string      `json:"owner"`
	Members     []string    `json:"members"`
	State       cloud.State `json:"state"`
	Reason      string      `json:"reason,omitempty"`
	URL         string      `json:"url"`
	SecureURL   string      `json:"secure_url,omitempty"`
	Root        string      `json:"root"`
	Domains     []string    `json:"domains,omitempty"` // that lead to it
	HTTPS       string      `json:"https,omitempty"`
	Main        string      `json:"main,omitempty"`
	Maintenance bool        `json:"maintenance"`
	Password    bool        `json:"password"` // whether it has one
	Created     time.Time   `json:"created"`
	Upload      string      `json:"upload"`          // what to type
	Shell       string      `json:"shell,omitempty"` // what to type
	Address     string      `json:"address,omitempty"`
	Limits      *limitsView `json:"limits,omitempty"`
	Image       string      `json:"php,omitempty"`  // chosen of the school's images
	Held        *cloud.Held `json:"held,omitempty"` // by an image that did not come up
	Full        bool        `json:"full,omitempty"` // its programs may not write
	DiskUsed    *int64      `json:"disk_used,omitempty"`
	DiskLimit   *int64      `json:"disk_limit,omitempty"`
	MemoryUsed  *int64      `json:"memory_used,omitempty"`
	CPUSeconds  *float64    `json:"cpu_seconds,omitempty"`
	Requests    *int64      `json:"requests,omitempty"` // in 24 hours
	LastVisit   *time.Time  `json:"last_visit,omitempty"`
	Problem     string      `json:"certificate_problem,omitempty"`
}

func (v *siteView) use(u cloud.Use) {
	seconds := u.CPU.Seconds()
	v.DiskUsed, v.DiskLimit, v.Requests = &u.Disk.Used, &u.Disk.Limit, &u.Requests
	if u.Memory > 0 {
		v.MemoryUsed, v.CPUSeconds = &u.Memory, &seconds
	}
	if !u.Last.IsZero() {
		v.LastVisit = &u.Last
	}
}

func (j *job) siteView(s cloud.Site) siteView {
	d := j.Cloud.Door
	v := siteView{
		Name: s.Name, Type: s.Type, Owner: s.Owner, Members: append([]string{}, s.Members...), Created: s.Created.UTC(),
		State: s.State, Reason: s.Reason, Full: s.Full, Image: s.Image, Held: s.Held,
		URL: d.URL(s.Name), SecureURL: d.SecureURL(s.Name), Root: s.Root, Upload: d.Upload("./build/*", s.Name, s.Root),
		HTTPS: s.HTTPS, Main: s.Main, Maintenance: s.Maintenance, Password: s.Password != "",
	}
	if j.Cloud.Engine.Name() != "none" {
		v.Shell = d.Shell(s.Name)
	}
	return v
}

func siteList(ctx context.Context, j *job) error {
	if j.is("all") {
		return j.sitesByUse(ctx)
	}
	sites, err := j.Cloud.Sites(ctx, j.Who, false)
	if err != nil {
		return err
	}
	views := []siteView{}
	for _, s := range sites {
		views = append(views, j.siteView(s))
	}
	return j.show(views, func() { j.siteTable(views, false) })
}

// sitesByUse shows everybody's sites, those visited last first.
func (j *job) sitesByUse(ctx context.Context) error {
	sites, last, err := j.Cloud.SitesByUse(ctx, j.Who)
	if err != nil {
		return err
	}
	views := []siteView{}
	for _, s := range sites {
		v := j.siteView(s)
		if at := last[s.ID]; !at.IsZero() {
			v.LastVisit = &at
		}
		views = append(views, v)
	}
	return j.show(views, func() { j.siteTable(views, true) })
}

func (j *job) siteTable(sites []siteView, all bool) {
	if len(sites) == 0 {
		j.say("No site yet. Make one: %s", j.line("site create NAME"))
		return
	}
	columns := []column{{title: "NAME"}, {title: "TYPE"}, {title: "STATE"}, {title: "OWNER"}, {title: "ADDRESS", shrinks: true}, {title: "CREATED"}}
	if all {
		columns = append(columns, column{title: "VISITED"})
	}
	var rows [][]string
	for _, s := range sites {
		row := []string{s.Name, string(s.Type), string(s.State), s.Owner, s.URL, j.ago(s.Created)}
		if all {
			row = append(row, j.ago(orZero(s.LastVisit)))
		}
		rows = append(rows, row)
	}
	j.rows(columns, rows)
}

// siteInfo shows one site. Its address in the network of its group is for admins.
func (j *job) siteInfo(ctx context.Context, s cloud.Site) error {
	v, limits := j.siteView(s), limitsOf(j.Cloud.LimitsOf(s))
	limits.Idle = cloud.FormatIdle(j.Cloud.IdleOf(s))
	v.Limits, v.Problem = &limits, j.Cloud.CertificateProblem(s)
	for _, d := range j.Cloud.DomainsOf(s) {
		if d.Active() {
			v.Domains = append(v.Domains, d.Host)
		}
	}
	if s.Address.IsValid() && j.isAdmin(ctx) {
		v.Address = s.Address.String()
	}
	if use, err := j.Cloud.SiteUse(ctx, j.Who, s.Name); err == nil { // one that is being made has none yet
		v.use(use)
	}
	return j.show(v, func() { j.facts(j.siteFacts(v, limits.forSite(s.Type))...) })
}

// siteFacts are what people are told of a site.
func (j *job) siteFacts(v siteView, limits string) [][2]string {
	return [][2]string{
		{"name", v.Name},
		{"type", string(v.Type)},
		{"state", v.condition()},
		{"owner", v.Owner},
		{"members", strings.Join(v.Members, ", ")},
		{"web", v.URL},
		{"secure web", otherThan(v.URL, v.SecureURL)},
		{"certificate", v.Problem},
		{"domains", strings.Join(v.Domains, ", ")},
		{"https", v.HTTPS},
		{"main name", v.Main},
		{"for visitors", forVisitors(v)},
		{"root", v.Root + "/"},
		{"limits", limits},
		{"disk", j.diskOf(v)},
		{"uses", v.memory()},
		{"visits", j.visits(v)},
		{"php", v.Image},
		{"image", j.heldBy(v)},
		{"address", v.Address},
		{"created", j.ago(v.Created)},
		{"upload", v.Upload},
		{"shell", v.Shell},
	}
}

// condition is the state, with what there is to say of it.
func (v siteView) condition() string {
	state := string(v.State)
	if v.Reason != "" {
		state += ": " + v.Reason
	}
	if v.State == cloud.Asleep {
		state += ": it uses no memory, and the next visitor wakes it"
	}
	return state
}

func (j *job) diskOf(v siteView) string {
	switch {
	case v.DiskUsed == nil:
		return ""
	case v.Full:
		return size(*v.DiskUsed) + " of " + size(*v.DiskLimit) + ": full, so read-only for its programs; delete files with " + j.Cloud.Door.SFTP(v.Name)
	}
	return size(*v.DiskUsed) + " of " + size(*v.DiskLimit)
}

func (v siteView) memory() string {
	if v.MemoryUsed == nil {
		return ""
	}
	cpu := time.Duration(*v.CPUSeconds * float64(time.Second))
	return fmt.Sprintf("%s memory, %s CPU time", size(*v.MemoryUsed), cpu.Round(10*time.Millisecond))
}

func (j *job) visits(v siteView) string {
	switch {
	case v.Requests == nil:
		return ""
	case v.LastVisit == nil:
		return "none yet"
	}
	return fmt.Sprintf("%d requests in 24 hours, the last %s", *v.Requests, j.ago(*v.LastVisit))
}

// heldBy says why a site has not the image that it should have.
func (j *job) heldBy(v siteView) string {
	if v.Held == nil {
		return ""
	}
	return fmt.Sprintf("the one before: the new one did not come up %s: %s; try it again: %s", j.ago(v.Held.Time), v.Held.Reason, j.line("site restart "+v.Name))
}

// forVisitors is what stands in front of a site.
func forVisitors(v siteView) string {
	var all []string
	if v.Maintenance {
		all = append(all, "in maintenance")
	}
	if v.Password {
		all = append(all, "with a password")
	}
	return strings.Join(all, ", ")
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func otherThan(a, b string) string {
	if a == b {
		return ""
	}
	return b
}
