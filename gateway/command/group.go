package command

import (
	"context"
	"strconv"
	"strings"
)

func groupCommands() []command {
	return []command{{
		noun: "group", verb: "list", who: admins,
		short: "the groups, with their networks and limits",
		long: "Lists the groups of the config, what each account of them may have, and how many accounts and sites they " +
			"hold.",
		examples: []string{"group list"},
		run:      groupList,
	}}
}

// groupView is a group for programs.
type groupView struct {
	Name     string     `json:"name"`
	Network  string     `json:"network"`
	Domains  []string   `json:"domains"`
	Limits   limitsView `json:"limits"`
	Accounts int        `json:"accounts"`
	Sites    int        `json:"sites"`
}

func groupList(ctx context.Context, j *job) error {
	groups, err := j.Cloud.GroupList(ctx, j.Who)
	if err != nil {
		return err
	}
	views := []groupView{}
	var rows [][]string
	for _, g := range groups {
		l := limitsOf(g.Limits)
		views = append(views, groupView{g.Name, g.Network.String(), append([]string{}, g.Domains...), l, g.Accounts, g.Sites})
		rows = append(rows, []string{g.Name, g.Network.String(), strings.Join(g.Domains, " "), strconv.Itoa(g.Accounts), strconv.Itoa(g.Sites),
			strconv.Itoa(l.MaxSites), size(l.Memory), cores(l.CPUs), size(l.Disk), l.Idle})
	}
	columns := []column{{title: "NAME"}, {title: "NETWORK"}, {title: "DOMAINS", shrinks: true}, {title: "ACCOUNTS"}, {title: "SITES"},
		{title: "MAX SITES"}, {title: "MEMORY"}, {title: "CPUS"}, {title: "DISK"}, {title: "IDLE"}}
	return j.show(views, func() { j.rows(columns, rows) })
}
