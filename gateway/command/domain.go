package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"plil.net/nuage/cloud"
)

func domainCommands() []command {
	host := arg{name: "HOST", is: aDomain}
	return []command{
		{
			noun: "domain", verb: "add", who: owners, args: []arg{{name: "NAME", is: aSite}, {name: "HOST"}},
			short: "give a website a domain of your own",
			long: "Prints the DNS records to set where the domain is registered: one that leads here, and one that " +
				"proves that it is yours. The domain works as soon as both are seen; DNS is checked every 10 minutes, " +
				"and at once by domain check. It is then a name of the site everywhere, also for ssh and scp. Domains " +
				"that are not proved within 14 days are forgotten. The same command prints the records again.",
			examples: []string{"domain add blog www.example.org"},
			run:      domainAdd,
		},
		{
			noun: "domain", verb: "list", who: everyone,
			short:    "your domains",
			long:     "Lists the domains of the sites that you own or are a member of, and what is wrong with them.",
			examples: []string{"domain list", "domain list --json"},
			run:      domainList,
		},
		{
			noun: "domain", verb: "check", who: owners, args: []arg{host},
			short: "look at the DNS records of a domain",
			long: "Looks up each record and says what it finds. If all are right, the domain works from then on; if not, " +
				"the exit status is 8. An account may check 10 times a minute.",
			examples: []string{"domain check www.example.org"},
			run:      domainCheck,
		},
		{
			noun: "domain", verb: "remove", who: owners, args: []arg{host},
			short:    "remove a domain from a website",
			long:     "The domain no longer leads to the site. The site and its other names stay.",
			examples: []string{"domain remove www.example.org"},
			run:      domainRemove,
		},
	}
}

// domainView is a domain for programs.
type domainView struct {
	Host    string         `json:"host"`
	Unicode string         `json:"unicode,omitempty"` // as browsers may show it
	Site    string         `json:"site"`
	State   string         `json:"state"` // pending or active
	Problem string         `json:"problem,omitempty"`
	Created time.Time      `json:"created"`
	Proved  time.Time      `json:"proved,omitzero"`
	Checked time.Time      `json:"checked,omitzero"`
	URL     string         `json:"url"`
	Records []cloud.Record `json:"records,omitempty"`
}

func (j *job) domainView(d cloud.DomainInfo, records []cloud.Record) domainView {
	v := domainView{
		Host: d.Host, Unicode: cloud.UnicodeHost(d.Host), Site: d.Name, State: "pending", Problem: d.Problem,
		Created: d.Created.UTC(), Proved: d.Proved.UTC(), Checked: d.Checked.UTC(), URL: j.Cloud.Door.URL(d.Host), Records: records,
	}
	if d.Active() {
		v.State = "active"
	}
	return v
}

// shown is the host as DNS has it, which is what it is, and as browsers may show it, which may look like another.
func (v domainView) shown() string {
	if v.Unicode == "" {
		return v.Host
	}
	return v.Host + " (" + v.Unicode + ")"
}

func domainAdd(ctx context.Context, j *job) error {
	d, err := j.Cloud.AddDomain(ctx, j.Who, j.arg(0), j.arg(1))
	if err != nil {
		return err
	}
	v := j.domainView(d, j.Cloud.Records(ctx, d))
	return j.show(v, func() {
		j.say("Set these DNS records for %s, where the domain is registered:", v.shown())
		for _, r := range v.Records {
			fmt.Fprintf(j.Stdout, "%s. %s %s\n", r.Name, r.Type, zoneValue(r))
		}
		j.say("It works as soon as both are seen. Look now: %s", j.line("domain check "+d.Host))
	})
}

// zoneValue is the value as a zone file has it.
func zoneValue(r cloud.Record) string {
	switch r.Type {
	case "TXT":
		return `"` + r.Value + `"`
	case "CNAME":
		return r.Value + "."
	}
	return r.Value
}

func domainList(ctx context.Context, j *job) error {
	list, err := j.Cloud.DomainList(ctx, j.Who)
	if err != nil {
		return err
	}
	views := []domainView{}
	var rows [][]string
	for _, d := range list {
		v := j.domainView(d, nil)
		views = append(views, v)
		rows = append(rows, []string{v.shown(), v.Site, v.State, j.ago(v.Checked), v.Problem})
	}
	return j.show(views, func() {
		if len(rows) == 0 {
			j.say("No domain of your own yet. Add one: %s", j.line("domain add NAME HOST"))
			return
		}
		j.rows([]column{{title: "HOST"}, {title: "SITE"}, {title: "STATE"}, {title: "CHECKED"}, {title: "PROBLEM", shrinks: true}}, rows)
	})
}

func domainCheck(ctx context.Context, j *job) error {
	d, records, err := j.Cloud.CheckDomain(ctx, j.Who, j.arg(0))
	if err != nil {
		return err
	}
	v := j.domainView(d, records)
	err = j.show(v, func() {
		for _, r := range v.Records {
			said := "ok"
			if !r.OK {
				said = r.Note
			}
			fmt.Fprintf(j.Stdout, "%s. %s %s: %s\n", r.Name, r.Type, zoneValue(r), visible(said))
			if !r.OK && len(r.Found) > 0 {
				fmt.Fprintf(j.Stdout, "  found: %s\n", visible(strings.Join(r.Found, ", ")))
			}
		}
	})
	switch {
	case err != nil:
		return err
	case d.Active() && d.Problem == "":
		j.say("%s is a name of %s: %s", v.shown(), v.Site, v.URL)
		return nil
	case d.Active():
		return cloud.Errorf(cloud.Unavailable, "%s leads to %q and its records are wrong: %s", v.shown(), v.Site, d.Problem).
			WithHint("it stays yours until somebody else proves it; correct the record")
	}
	return cloud.Errorf(cloud.Unavailable, "%s is not proved: %s", v.shown(), d.Problem).
		WithHint("set the record and try again; a change of DNS may take an hour to be seen")
}

func domainRemove(ctx context.Context, j *job) error {
	d, err := j.Cloud.RemoveDomain(ctx, j.Who, j.arg(0))
	if err != nil {
		return err
	}
	return j.show(map[string]string{"removed": d.Host}, func() { j.say("%s is no longer a name of %s", d.Host, d.Name) })
}
