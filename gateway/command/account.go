package command

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"plil.net/nuage/cloud"
)

func accountCommands() []command {
	name := arg{name: "NAME", is: anAccount}
	return []command{
		{
			noun: "account", verb: "add", who: admins, args: []arg{{name: "NAME"}},
			flags: []flag{
				{long: "group", value: "G", is: aGroup, help: "its group, if not the default one"},
				{long: "admin", help: "may do everything"},
				{long: "key", value: "-", help: "its first public key, from standard input"},
			},
			short: "let a person in",
			long: "Makes an account. With --key - its first public key is read from standard input, or asked for at a " +
				"terminal; without a key nobody can log in to it yet.",
			examples: []string{"account add jean.dupont --key - < jean.pub", "account add marie --group teachers"},
			run:      accountAdd,
		},
		{
			noun: "account", verb: "list", who: admins,
			short:    "all accounts",
			long:     "Lists all accounts with their group, role, and how many keys and sites they have.",
			examples: []string{"account list"},
			run:      accountList,
		},
		{
			noun: "account", verb: "info", who: admins, args: []arg{name},
			short:    "all about one account",
			long:     "Shows an account with its limits; those that differ from its group's are marked.",
			examples: []string{"account info jean.dupont"},
			run: func(ctx context.Context, j *job) error {
				a, err := j.Cloud.Account(ctx, j.Who, j.arg(0))
				if err != nil {
					return err
				}
				return j.accountInfo(a)
			},
		},
		{
			noun: "account", verb: "set", who: admins, args: []arg{name, {name: "KEY=VALUE", is: accountSetting, many: true}},
			short: "change an account's group, role or limits",
			long: "An empty value goes back to the group's. All are changed or none. New limits reach a site at its next start; one " +
				"that runs is started anew for them within three minutes, which ends the programs in it.",
			settings: accountSettings,
			examples: []string{
				"account set jean.dupont max_sites=5 memory=256MiB", "account set jean.dupont idle=never",
				"account set jean.dupont memory=",
			},
			run: func(ctx context.Context, j *job) error {
				if err := j.Cloud.SetAccount(ctx, j.Who, j.arg(0), j.args[1:]); err != nil {
					return err
				}
				return j.accountDone(ctx, "is changed")
			},
		},
		accountChange("disable", "shut an account out, and keep what it has",
			"The account can do nothing any more, not even in open sessions. Its sites stay on the web.",
			"is shut out", (*cloud.Cloud).DisableAccount),
		accountChange("enable", "let a disabled account in again",
			"Undoes account disable.",
			"may come in again", (*cloud.Cloud).EnableAccount),
		{
			noun: "account", verb: "delete", who: admins, args: []arg{name}, terminal: true,
			flags: []flag{{long: "yes", help: "do not ask"}},
			short: "delete an account and its keys",
			long: "Refused while the account owns sites. At a terminal it asks for the name once more; without one it " +
				"needs --yes.",
			examples: []string{"account delete jean.dupont", "account delete jean.dupont --yes"},
			run:      accountDelete,
		},
	}
}

// accountView is an account for programs.
type accountView struct {
	Name       string         `json:"name"`
	Group      string         `json:"group"`
	Role       cloud.Role     `json:"role"`
	Disabled   bool           `json:"disabled"`
	Created    time.Time      `json:"created"`
	School     *schoolView    `json:"school"` // null: not bound to a school login
	Link       bool           `json:"link"`
	Keys       int            `json:"keys"`
	Sites      int            `json:"sites"`
	Limits     limitsView     `json:"limits"`
	Exceptions exceptionsView `json:"exceptions"`
}

// schoolView is whom an account is bound to at the school.
type schoolView struct {
	Name    string    `json:"name"`
	Issuer  string    `json:"issuer"`
	Subject string    `json:"subject"`
	At      time.Time `json:"at"` // last login there
}

func viewSchool(s *cloud.SchoolLogin) *schoolView {
	if s == nil {
		return nil
	}
	return &schoolView{s.Name, s.Issuer, s.Subject, s.At.UTC()}
}

// exceptionsView are the limits that differ from the group's.
type exceptionsView struct {
	MaxSites *int     `json:"max_sites,omitempty"`
	Memory   *int64   `json:"memory,omitempty"`
	CPUs     *float64 `json:"cpus,omitempty"`
	Disk     *int64   `json:"disk,omitempty"`
	Idle     *string  `json:"idle,omitempty"`
}

func viewAccount(a cloud.AccountInfo) accountView {
	x := exceptionsView{a.Exceptions.MaxSites, a.Exceptions.Memory, a.Exceptions.CPUs, a.Exceptions.Disk, nil}
	if a.Exceptions.Idle != nil {
		idle := cloud.FormatIdle(*a.Exceptions.Idle)
		x.Idle = &idle
	}
	return accountView{a.Name, a.Group, a.Role, a.Disabled, a.Created.UTC(), viewSchool(a.School), a.Link, a.Keys, a.Sites, limitsOf(a.Limits), x}
}

func accountAdd(ctx context.Context, j *job) error {
	n := cloud.NewAccount{Name: j.arg(0), Group: j.flag("group"), Admin: j.is("admin")}
	if err := j.firstKey(ctx, &n); err != nil {
		return err
	}
	a, err := j.Cloud.AddAccount(ctx, j.Who, n)
	if err != nil {
		return err
	}
	if j.json {
		return j.accountDone(ctx, "")
	}
	j.say("%s is in, as %s of %s", a.Name, a.Role, a.Group)
	if n.Key == "" {
		j.say("It has no key yet. Add one: %s", j.line("key add --account "+a.Name+" < KEY.pub"))
	}
	return nil
}

// firstKey reads the key of a new account, if one is promised.
func (j *job) firstKey(ctx context.Context, n *cloud.NewAccount) error {
	switch {
	case !j.given("key"):
		return nil
	case j.flag("key") != "-":
		return cloud.Errorf(cloud.Usage, "--key takes only - (standard input), not %q", j.flag("key")).
			WithHint("%s", j.line("account add "+visible(n.Name)+" --key - < KEY.pub"))
	}
	key, err := j.readKey(ctx)
	if err != nil {
		return err
	}
	if _, err := cloud.ParseKey(key); err != nil {
		return err // also for an empty one, which is no key to cloud
	}
	n.Key = key
	return nil
}

func accountList(ctx context.Context, j *job) error {
	accounts, err := j.Cloud.Accounts(ctx, j.Who)
	if err != nil {
		return err
	}
	views := []accountView{}
	var rows [][]string
	for _, a := range accounts {
		v := viewAccount(a)
		views = append(views, v)
		rows = append(rows, []string{v.Name, v.Group, v.standing(), strconv.Itoa(v.Keys), v.sitesOf(), j.ago(v.Created)})
	}
	return j.show(views, func() {
		if len(rows) == 0 {
			j.say("No account yet. Make one: %s", j.line("account add NAME --key - < KEY.pub"))
			return
		}
		j.rows([]column{{title: "NAME"}, {title: "GROUP", shrinks: true}, {title: "ROLE"}, {title: "KEYS"}, {title: "SITES"}, {title: "CREATED"}}, rows)
	})
}

func (v accountView) standing() string {
	if v.Disabled {
		return string(v.Role) + " (disabled)"
	}
	return string(v.Role)
}

// atSchool is how an account stands at the school.
func (j *job) atSchool(v accountView) string {
	switch {
	case v.School != nil:
		return v.School.Name + ", logged in " + j.ago(v.School.At)
	case v.Link:
		return "goes to the next school login under its name"
	}
	return "bound to nobody"
}

func (v accountView) sitesOf() string { return fmt.Sprintf("%d of %d", v.Sites, v.Limits.MaxSites) }

func (j *job) accountInfo(a cloud.AccountInfo) error {
	v := viewAccount(a)
	own := func(differs bool, value string) string {
		if differs {
			return value + " (its own)"
		}
		return value
	}
	l, x := v.Limits, v.Exceptions
	return j.show(v, func() {
		j.facts([2]string{"name", v.Name}, [2]string{"group", v.Group}, [2]string{"role", v.standing()},
			[2]string{"created", j.ago(v.Created)}, [2]string{"school", j.atSchool(v)}, [2]string{"keys", strconv.Itoa(v.Keys)},
			[2]string{"sites", own(x.MaxSites != nil, v.sitesOf())}, [2]string{"memory", own(x.Memory != nil, size(l.Memory))},
			[2]string{"cpus", own(x.CPUs != nil, cores(l.CPUs))}, [2]string{"disk", own(x.Disk != nil, size(l.Disk))},
			[2]string{"idle", own(x.Idle != nil, l.Idle)})
	})
}

// accountChange is a row for a verb that only needs the account.
func accountChange(verb, short, long, done string, act func(*cloud.Cloud, context.Context, cloud.Who, string) error) command {
	return command{
		noun: "account", verb: verb, who: admins, args: []arg{{name: "NAME", is: anAccount}},
		short: short, long: long, examples: []string{"account " + verb + " jean.dupont"},
		run: func(ctx context.Context, j *job) error {
			if err := act(j.Cloud, ctx, j.Who, j.arg(0)); err != nil {
				return err
			}
			return j.accountDone(ctx, done)
		},
	}
}

func (j *job) accountDone(ctx context.Context, done string) error {
	if !j.json {
		j.say("%s %s", j.arg(0), done)
		return nil
	}
	a, err := j.Cloud.Account(ctx, j.Who, j.arg(0))
	if err != nil {
		return err
	}
	return j.show(viewAccount(a), nil)
}

// accountDelete looks the account up before it asks.
func accountDelete(ctx context.Context, j *job) error {
	a, err := j.Cloud.Account(ctx, j.Who, j.arg(0))
	if err != nil {
		return err
	}
	if err := j.confirm(ctx, a.Name, "This deletes the account and its keys."); err != nil {
		return err
	}
	if err := j.Cloud.DeleteAccount(ctx, j.Who, a.Name); err != nil {
		return err
	}
	return j.show(map[string]string{"deleted": a.Name}, func() { j.say("%s is deleted", a.Name) })
}
