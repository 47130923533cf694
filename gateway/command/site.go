package command

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"plil.net/nuage/cloud"
)

func siteCommands() []command {
	name := arg{name: "NAME", is: aSite}
	return []command{
		{
			noun: "site", verb: "create", who: everyone, args: []arg{{name: "NAME"}},
			flags:    []flag{{long: "type", value: "php|static", is: aType, help: "php: a container that runs PHP, with a shell; static: files only"}},
			short:    "make a website",
			long:     "Makes a website and prints its address. NAME is a full name, or only its first part. The site answers at once, with a page that says how to replace it.",
			examples: []string{"site create blog", "site create blog --type static"},
			run:      siteCreate,
		},
		{
			noun: "site", verb: "list", who: everyone,
			flags:    []flag{{long: "all", help: "everybody's sites", admins: true}},
			short:    "your websites",
			long:     "Lists the sites that you own or are a member of, with their state and address.",
			examples: []string{"site list", "site list --json"},
			run:      siteList,
		},
		{
			noun: "site", verb: "info", who: users, args: []arg{name},
			short:    "all about one website",
			long:     "Shows the type, state, owner, addresses and limits of a site, and the lines that upload to it and open its shell.",
			examples: []string{"site info blog"},
			run: func(ctx context.Context, j *job) error {
				s, err := j.Cloud.Site(ctx, j.Who, j.arg(0))
				if err != nil {
					return err
				}
				return j.siteInfo(ctx, s)
			},
		},
		{
			noun: "site", verb: "logs", who: users, args: []arg{name},
			flags: []flag{
				{long: "follow", short: "f", help: "go on with new lines until Ctrl-C"},
				{long: "lines", short: "n", value: "N", help: "only the last N lines"},
				{long: "access", help: "who asked for what, and how it was answered"},
			},
			short:    "what a website printed: its errors; or who visited it",
			long:     "Prints the log of the site's container as it is: the errors of PHP and of the web server. Only php sites have one. With --access it prints the requests of visitors, as the combined log format has them, with --json as an array, with --json -f as one object a line; that log outlives the container.",
			examples: []string{"site logs blog -n 20", "site logs blog -f", "site logs blog --access -n 100"},
			run:      siteLogs,
		},
		siteStatsCommand(name),
		{
			noun: "site", verb: "set", who: users, args: []arg{name, {name: "KEY=VALUE", is: siteSetting, many: true}},
			short:    "change settings of a website",
			long:     "The settings are type (php or static), root (the directory in the home that is on the web), idle (how long it goes unused before it sleeps, such as 2h or never, as far as the group allows), php (one of the images that the school offers), https (force: visitors who come by HTTP are sent to HTTPS), main (the name that visitors of the site's other names are sent to), maintenance (on: visitors see a page that says that the site will be back), password (visitors need it, with any user name; password=- reads it from standard input, or asks for it at a terminal, so that it stays out of your shell's history) and owner (one of its members, to whom the owner hands it over). An empty value restores the default. All are changed or none; the site starts again with them.",
			examples: []string{"site set blog type=static", "site set blog root=www/public", "site set blog root=", "site set blog https=force main=www.example.org", "site set blog maintenance=on", "site set blog password=- < password.txt", "site set blog password=", "site set blog owner=jean.dupont"},
			run:      siteSet,
		},
		siteMembers("share", owners, "let somebody else work on a website too",
			"ACCOUNT is the name that whoami shows to its owner. A member may do everything with the site except delete it, share it and give it away. The site counts towards the limit of its owner only.",
			"may use", (*cloud.Cloud).ShareSite),
		siteMembers("unshare", users, "stop sharing a website with somebody, or leave it",
			"Whatever that member has open in the site, such as a shell or files, ends at once. To leave a site, name yourself.",
			"no longer uses", (*cloud.Cloud).UnshareSite),
		siteChange("start", "put a stopped website on the web again", "Starts a site. If it runs already, makes sure that it really does.", "starting the container", "is running", (*cloud.Cloud).StartSite),
		siteChange("stop", "take a website off the web, and keep its files", "Stops a site. Its files stay and can be changed; visitors are told that it is stopped.", "stopping the container", "is stopped", (*cloud.Cloud).StopSite),
		siteChange("restart", "stop and start a website", "Stops the site's container and starts it again, for a program in it that hangs, or to take a new image from the school now rather than at its next wake. Visitors wait in the meantime. If a new image does not come up, the site goes back to the one it had, and site info says why.", "stopping the container and starting it again", "is running again", (*cloud.Cloud).RestartSite),
		{
			noun: "site", verb: "delete", who: owners, args: []arg{name}, terminal: true,
			flags:    []flag{{long: "yes", help: "do not ask"}},
			short:    "delete a website with all its files",
			long:     "Takes the site off the web and deletes its container, its files and its name, for good. At a terminal it asks for the name once more; without one it needs --yes.",
			examples: []string{"site delete blog", "site delete blog --yes"},
			run:      siteDelete,
		},
	}
}

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
		Name: s.Name, Type: s.Type, Owner: s.Owner, Members: append([]string{}, s.Members...), State: s.State, Reason: s.Reason, Full: s.Full, Image: s.Image, Held: s.Held,
		URL: d.URL(s.Name), SecureURL: d.SecureURL(s.Name), Root: s.Root, HTTPS: s.HTTPS, Main: s.Main, Maintenance: s.Maintenance, Password: s.Password != "", Created: s.Created.UTC(),
		Upload: d.Upload("./build/*", s.Name, s.Root),
	}
	if s.Type == cloud.PHP {
		v.Shell = d.Shell(s.Name)
	}
	return v
}

func siteCreate(ctx context.Context, j *job) error {
	n := cloud.NewSite{Name: j.arg(0), Type: cloud.Type(j.flag("type"))}
	progress := j.progress()
	n.Progress = progress.Step
	s, err := j.Cloud.CreateSite(ctx, j.Who, n)
	progress.End()
	if err != nil {
		return err
	}
	v := j.siteView(s)
	return j.show(v, func() {
		fmt.Fprintf(j.Stdout, "%s\n", v.URL)
		j.say("%s is on the web. Next, from your own machine:", s.Name)
		j.say("  upload  %s", v.Upload)
		if v.Shell != "" {
			j.say("  shell   %s", v.Shell)
		}
	})
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
	disk, memory, visits := "", "", ""
	if use, err := j.Cloud.SiteUse(ctx, j.Who, s.Name); err == nil { // one that is being made has none yet
		v.use(use)
		disk = size(use.Disk.Used) + " of " + size(use.Disk.Limit)
		visits = "none yet"
		if !use.Last.IsZero() {
			visits = fmt.Sprintf("%d requests in 24 hours, the last %s", use.Requests, j.ago(use.Last))
		}
		if use.Memory > 0 {
			memory = fmt.Sprintf("%s memory, %s CPU time", size(use.Memory), use.CPU.Round(10*time.Millisecond))
		}
	}
	return j.show(v, func() {
		state := string(v.State)
		if v.Reason != "" {
			state += ": " + v.Reason
		}
		if s.State == cloud.Asleep {
			state += ": it uses no memory, and the next visitor wakes it"
		}
		if v.Full {
			disk += ": full, so read-only for its programs; delete files with " + j.Cloud.Door.SFTP(s.Name)
		}
		j.facts([2]string{"name", v.Name}, [2]string{"type", string(v.Type)}, [2]string{"state", state},
			[2]string{"owner", v.Owner}, [2]string{"members", strings.Join(v.Members, ", ")},
			[2]string{"web", v.URL}, [2]string{"secure web", otherThan(v.URL, v.SecureURL)}, [2]string{"certificate", v.Problem}, [2]string{"domains", strings.Join(v.Domains, ", ")}, [2]string{"https", v.HTTPS}, [2]string{"main name", v.Main}, [2]string{"for visitors", forVisitors(v)}, [2]string{"root", v.Root + "/"},
			[2]string{"limits", limits.forSite(s.Type)}, [2]string{"disk", disk}, [2]string{"uses", memory}, [2]string{"visits", visits}, [2]string{"php", v.Image}, [2]string{"image", j.heldBy(v)}, [2]string{"address", v.Address}, [2]string{"created", j.ago(v.Created)},
			[2]string{"upload", v.Upload}, [2]string{"shell", v.Shell})
	})
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

func siteLogs(ctx context.Context, j *job) error {
	o := cloud.LogOptions{Follow: j.is("follow"), Tail: -1}
	if j.given("lines") {
		n, err := strconv.Atoi(j.flag("lines"))
		if err != nil || n < 0 {
			return cloud.Errorf(cloud.Usage, "%q is not a number of lines", j.flag("lines")).WithHint("%s", j.usageLine())
		}
		o.Tail = n
	}
	if j.is("access") {
		return j.accessLog(ctx, cloud.HitFilter{Follow: o.Follow, Tail: o.Tail})
	}
	// A site may print what takes over a terminal, and the reader may be an admin.
	out := cloud.Streams{Stdout: &harmless{to: j.Stdout}, Stderr: &harmless{to: j.Stderr}}
	return j.Cloud.Logs(ctx, j.Who, j.arg(0), o, out)
}

func siteSet(ctx context.Context, j *job) error {
	pairs, err := j.withPassword(ctx, j.args[1:])
	if err != nil {
		return err
	}
	progress := j.progress()
	progress.Step("starting the container with the new settings")
	s, err := j.Cloud.SetSite(ctx, j.Who, j.arg(0), pairs)
	progress.End()
	if err != nil {
		return err
	}
	return j.show(j.siteView(s), func() {
		said := fmt.Sprintf("%s: type %s, root %s/, owner %s", s.Name, s.Type, s.Root, s.Owner)
		if s.HTTPS != "" {
			said += ", https " + s.HTTPS
		}
		if s.Main != "" {
			said += ", main " + s.Main
		}
		if s.Maintenance {
			said += ", in maintenance"
		}
		if s.Password != "" {
			said += ", with a password"
		}
		j.say("%s", said)
	})
}

// siteChange is a row for a verb that only needs the site.
func siteChange(verb, short, long, doing, done string, act func(*cloud.Cloud, context.Context, cloud.Who, string) error) command {
	return command{
		noun: "site", verb: verb, who: users, args: []arg{{name: "NAME", is: aSite}},
		short: short, long: long, examples: []string{"site " + verb + " blog"},
		run: func(ctx context.Context, j *job) error {
			progress := j.progress()
			progress.Step(doing)
			err := act(j.Cloud, ctx, j.Who, j.arg(0))
			progress.End()
			if err != nil {
				return err
			}
			s, err := j.Cloud.Site(ctx, j.Who, j.arg(0))
			if err != nil {
				return err
			}
			return j.show(j.siteView(s), func() {
				j.say("%s %s", s.Name, done)
				if s.Held != nil && verb != "stop" {
					j.say("It runs on the image it had, because the new one did not come up: %s", s.Held.Reason)
				}
			})
		},
	}
}

// siteMembers is a row for a verb about an account and a site.
func siteMembers(verb string, who audience, short, long, done string, act func(*cloud.Cloud, context.Context, cloud.Who, string, string) (cloud.Site, error)) command {
	return command{
		noun: "site", verb: verb, who: who, args: []arg{{name: "NAME", is: aSite}, {name: "ACCOUNT", is: anAccount}},
		short: short, long: long, examples: []string{"site " + verb + " blog jean.dupont"},
		run: func(ctx context.Context, j *job) error {
			s, err := act(j.Cloud, ctx, j.Who, j.arg(0), j.arg(1))
			if err != nil {
				return err
			}
			return j.show(j.siteView(s), func() { j.say("%s %s %s", j.arg(1), done, s.Name) })
		},
	}
}

// siteDelete looks the site up before it asks: what is not there, or not one's own to see, is not asked about.
func siteDelete(ctx context.Context, j *job) error {
	s, err := j.Cloud.Site(ctx, j.Who, j.arg(0))
	if err != nil {
		return err
	}
	if err := j.confirm(ctx, s.Name, "This deletes the site and all its files."); err != nil {
		return err
	}
	progress := j.progress()
	progress.Step("removing the container and the files")
	err = j.Cloud.DeleteSite(ctx, j.Who, s.Name)
	progress.End()
	if err != nil {
		return err
	}
	return j.show(map[string]string{"deleted": s.Name}, func() { j.say("%s is deleted", s.Name) })
}
