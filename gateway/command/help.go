package command

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"plil.net/nuage/cloud"
)

// helpWidth is where long help breaks its lines.
const helpWidth = 78

func aboutCommands() []command {
	return []command{
		{
			verb: "whoami", who: everyone,
			short: "who you are here, and what you may have",
			long: "Shows your account, its group and role, and how many of your sites are in use. The key that logged " +
				"you in decides who you are.",
			examples: []string{"whoami", "whoami --json"},
			run:      whoami,
		},
		{
			verb: "help", who: everyone, args: []arg{{name: "COMMAND", is: aCommand, optional: true, many: true}},
			short:    "explain all commands, or one",
			long:     "Without COMMAND it lists what there is. --help or -h after any command does the same for that one.",
			examples: []string{"help", "help site create"},
			run:      func(ctx context.Context, j *job) error { return j.helpOn(ctx, j.args) },
		},
		{
			verb: "version", who: everyone,
			short:    "the version of this gateway",
			long:     "Shows which nuage runs here.",
			examples: []string{"version"},
			run: func(_ context.Context, j *job) error {
				return j.show(map[string]string{"version": j.Cloud.Version}, func() {
					fmt.Fprintf(j.Stdout, "nuage %s\n", visible(j.Cloud.Version))
				})
			},
		},
	}
}

// helpOn explains what words name: a command, a noun, or everything.
func (j *job) helpOn(ctx context.Context, words []string) error {
	t := newTree(j.table)
	at, rest, err := t.root.Find(words)
	switch row := t.rows[at]; {
	case err != nil:
		return cloud.Errorf(cloud.Usage, "%s", err)
	case row != nil:
		return j.page(row, j.isAdmin(ctx))
	case len(rest) > 0:
		return j.unknownCommand(append(path(at), rest...))
	case len(words) > 0:
		return j.group(at.Name(), j.isAdmin(ctx))
	}
	return j.overview(j.isAdmin(ctx))
}

// overview is the front page: a worked example, then all commands.
func (j *job) overview(admin bool) error {
	if j.json {
		return j.show(j.table.explained(admin, func(*command) bool { return true }), nil)
	}
	w, door, site := j.Stdout, j.Cloud.Door, "blog."+j.Cloud.Domain
	fmt.Fprint(w, "nuage gives you websites. All it takes is ssh, scp and a browser.\n\nYour first one:\n\n")
	j.columnsOf([][2]string{
		{"make it", j.line("site create blog")},
		{"upload files", door.Upload("./build/*", site, cloud.DocumentRoot)},
		{"look at it", door.URL(site)},
	})
	fmt.Fprintf(w, "\nThe commands%s:\n\n", j.behind())
	j.list(admin, func(c *command) bool { return c.who != admins })
	if admin {
		fmt.Fprint(w, "\nFor admins:\n\n")
		j.list(admin, func(c *command) bool { return c.who == admins })
	}
	fmt.Fprintf(w, "\nMore about one:  %s\nFor programs:    add --json to any command\n", j.line("help site create"))
	if admin {
		fmt.Fprint(w, "As somebody:     add --as ACCOUNT to any command, to see what that person sees; the audit names you both\n")
	}
	return nil
}

// behind says what comes before the commands of a list.
func (j *job) behind() string {
	if j.line("") == "" {
		return ""
	}
	return ", each after " + strings.TrimSpace(j.line(""))
}

func (j *job) list(admin bool, pick func(*command) bool) {
	var pairs [][2]string
	for i := range j.table {
		if c := &j.table[i]; pick(c) {
			pairs = append(pairs, [2]string{c.usage(admin), c.short})
		}
	}
	j.columnsOf(pairs)
}

// widestLeft is how wide the left column may get before its right one goes on a line of its own.
const widestLeft = 46

// columnsOf prints pairs as two aligned columns.
func (j *job) columnsOf(pairs [][2]string) {
	width := 0
	for _, p := range pairs {
		if n := utf8.RuneCountInString(p[0]); n <= widestLeft {
			width = max(width, n)
		}
	}
	for _, p := range pairs {
		n := utf8.RuneCountInString(p[0])
		if n > width {
			fmt.Fprintf(j.Stdout, "  %s\n", p[0])
			p[0], n = "", 0
		}
		fmt.Fprintf(j.Stdout, "  %s%s  %s\n", p[0], strings.Repeat(" ", width-n), p[1])
	}
}

// group explains a noun: its commands as the lines to type.
func (j *job) group(name string, admin bool) error {
	pick := func(c *command) bool { return c.noun == name && (admin || c.who != admins) }
	if j.json {
		return j.show(j.table.explained(admin, pick), nil)
	}
	for _, n := range nouns {
		if n.name == name {
			fmt.Fprintf(j.Stdout, "%s: %s\n\n", n.name, n.help)
		}
	}
	for i := range j.table {
		if c := &j.table[i]; pick(c) {
			fmt.Fprintf(j.Stdout, "  %s\n      %s\n", j.lineOf(c, c.usage(admin)), c.short)
		}
	}
	fmt.Fprintf(j.Stdout, "\nMore about one:  %s\n", j.line("help "+name+" "+j.table.verbs(name)[0]))
	return nil
}

// page explains one command.
func (j *job) page(c *command, admin bool) error {
	if j.json {
		return j.show(c.explained(admin), nil)
	}
	w := j.Stdout
	fmt.Fprintf(w, "%s: %s\n\n  %s\n\n%s\n", c.name(), c.short, j.lineOf(c, c.usage(admin)), wrap(c.long, helpWidth))
	if len(c.settings) > 0 {
		fmt.Fprint(w, "\nSettings:\n\n")
		j.columnsOf(c.settings)
	}
	fmt.Fprint(w, "\nFlags:\n\n")
	var pairs [][2]string
	for _, f := range c.flags {
		if admin || !f.admins {
			pairs = append(pairs, [2]string{f.spelled(), f.help})
		}
	}
	j.columnsOf(append(pairs, [2]string{"--json", "print JSON for programs; errors too"}))
	fmt.Fprint(w, "\nExamples:\n\n")
	for _, e := range c.examples {
		fmt.Fprintf(w, "  %s\n", j.lineOf(c, e))
	}
	fmt.Fprintf(w, "\nFor: %s.\n", c.who)
	return nil
}

// spelled is all the ways to type the flag.
func (f flag) spelled() string {
	s := "--" + f.long
	if f.short != "" {
		s = "-" + f.short + ", " + s
	}
	if f.value != "" {
		s += " " + f.value
	}
	return s
}

// wrap breaks text between words.
func wrap(text string, width int) string {
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case column == 0:
		case column+1+n > width:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}
