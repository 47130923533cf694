package command

import (
	"context"
	"fmt"
	"strconv"

	"plil.net/nuage/cloud"
)

func siteCommands() []command {
	name := arg{name: "NAME", is: aSite}
	return []command{
		{
			noun: "site", verb: "create", who: everyone, args: []arg{{name: "NAME"}},
			flags: []flag{{long: "type", value: "php|static", is: aType, help: "php: a container that runs PHP; static: files only"}},
			short: "make a website",
			long: "Makes a website and prints its address. NAME is a full name, or only its first part. The site answers " +
				"at once, with a page that says how to replace it.",
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
			short: "all about one website",
			long: "Shows the type, state, owner, addresses and limits of a site, and the lines that upload to it and " +
				"open its shell.",
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
			short: "what a website printed: its errors; or who visited it",
			long: "Prints the log of the site's container as it is: the errors of PHP and of the web server. Only php " +
				"sites have one. With --access it prints the requests of visitors, as the combined log format has them, " +
				"with --json as an array, with --json -f as one object a line; that log outlives the container.",
			examples: []string{"site logs blog -n 20", "site logs blog -f", "site logs blog --access -n 100"},
			run:      siteLogs,
		},
		siteStatsCommand(name),
		{
			noun: "site", verb: "set", who: users, args: []arg{name, {name: "KEY=VALUE", is: siteSetting, many: true}},
			short: "change settings of a website",
			long: "An empty value restores the default. All are changed or none; the site starts again with them. A password on " +
				"the command line stays in your shell's history; password=- does not.",
			settings: siteSettings,
			examples: []string{
				"site set blog type=static", "site set blog root=www/public", "site set blog root=",
				"site set blog https=force main=www.example.org", "site set blog maintenance=on",
				"site set blog password=- < password.txt", "site set blog password=", "site set blog owner=jean.dupont",
			},
			run: siteSet,
		},
		siteMembers("share", owners, "let somebody else work on a website too",
			"ACCOUNT is the name that whoami shows to its owner. A member may do everything with the site except delete "+
				"it, share it and give it away. The site counts towards the limit of its owner only.",
			"may use", (*cloud.Cloud).ShareSite),
		siteMembers("unshare", users, "stop sharing a website with somebody, or leave it",
			"Whatever that member has open in the site, such as a shell or files, ends at once. To leave a site, name yourself.",
			"no longer uses", (*cloud.Cloud).UnshareSite),
		siteChange("start", "put a stopped website on the web again",
			"Starts a site. If it runs already, makes sure that it really does.",
			"starting the container", "is running", (*cloud.Cloud).StartSite),
		siteChange("stop", "take a website off the web, and keep its files",
			"Stops a site. Its files stay and can be changed; visitors are told that it is stopped.",
			"stopping the container", "is stopped", (*cloud.Cloud).StopSite),
		siteChange("restart", "stop and start a website",
			"Stops the site's container and starts it again, for a program in it that hangs, or to take a new image from "+
				"the school now rather than at its next wake. Visitors wait in the meantime. If a new image does not "+
				"come up, the site goes back to the one it had, and site info says why.",
			"stopping the container and starting it again", "is running again", (*cloud.Cloud).RestartSite),
		{
			noun: "site", verb: "delete", who: owners, args: []arg{name}, terminal: true,
			flags: []flag{{long: "yes", help: "do not ask"}},
			short: "delete a website with all its files",
			long: "Takes the site off the web and deletes its container, its files and its name, for good. At a terminal " +
				"it asks for the name once more; without one it needs --yes.",
			examples: []string{"site delete blog", "site delete blog --yes"},
			run:      siteDelete,
		},
	}
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
