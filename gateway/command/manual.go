package command

import (
	"fmt"
	"io"

	"plil.net/nuage/cloud"
)

// Manual writes all commands as Markdown, with lines to type at the given door.
func Manual(w io.Writer, door cloud.Door) {
	fmt.Fprint(w, "# All commands\n\nThis page is printed from the table of commands; `ssh nuage help COMMAND` shows the same.\n\n")
	j := &job{Call: Call{Cloud: &cloud.Cloud{Options: cloud.Options{Door: door}}}, table: newTable()}
	for i := range j.table {
		c := &j.table[i]
		fmt.Fprintf(w, "## %s\n\n%s\n\nFor: %s.\n\n", c.name(), c.long, c.who)
		fmt.Fprintf(w, "    %s\n\n", j.lineOf(c, c.usage(true)))
		for _, f := range c.flags {
			fmt.Fprintf(w, "- `%s`: %s\n", f.spelled(), f.help)
		}
		if len(c.flags) > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprint(w, "Examples:\n\n")
		for _, e := range c.examples {
			fmt.Fprintf(w, "    %s\n", j.lineOf(c, e))
		}
		fmt.Fprintln(w)
	}
}

// explanation is a row for programs.
type explanation struct {
	Command  string            `json:"command"`
	Usage    string            `json:"usage"`
	For      string            `json:"for"`
	Short    string            `json:"short"`
	Long     string            `json:"long"`
	Flags    map[string]string `json:"flags"`
	Examples []string          `json:"examples"`
}

func (c *command) explained(admin bool) explanation {
	e := explanation{c.name(), c.usage(admin), c.who.String(), c.short, c.long, map[string]string{}, c.examples}
	for _, f := range c.flags {
		if admin || !f.admins {
			e.Flags["--"+f.long] = f.help
		}
	}
	return e
}

func (t table) explained(admin bool, pick func(*command) bool) []explanation {
	list := []explanation{}
	for i := range t {
		if c := &t[i]; pick(c) && (admin || c.who != admins) {
			list = append(list, c.explained(admin))
		}
	}
	return list
}
