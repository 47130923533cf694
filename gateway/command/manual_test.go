package command

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"plil.net/nuage/cloud"
)

// manual writes all commands as Markdown, with lines to type at the given door.
func manual(w io.Writer, door cloud.Door) {
	fmt.Fprint(w, "# All commands\n\nThis page is printed from the table of commands; `ssh nuage help COMMAND` shows the same.\n\n")
	j := &job{Call: Call{Cloud: &cloud.Cloud{Options: cloud.Options{Door: door}}}, table: newTable()}
	for i := range j.table {
		c := &j.table[i]
		fmt.Fprintf(w, "## %s\n\n%s\n\nFor: %s.\n\n", c.name(), c.long, c.who)
		fmt.Fprintf(w, "    %s\n\n", j.lineOf(c, c.usage(true)))
		for _, s := range c.settings {
			fmt.Fprintf(w, "- `%s`: %s\n", s[0], s[1])
		}
		for _, f := range c.flags {
			fmt.Fprintf(w, "- `%s`: %s\n", f.spelled(), f.help)
		}
		if len(c.settings)+len(c.flags) > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprint(w, "Examples:\n\n")
		for _, e := range c.examples {
			fmt.Fprintf(w, "    %s\n", j.lineOf(c, e))
		}
		fmt.Fprintln(w)
	}
}

func TestManual(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	manual(&b, cloud.Door{Host: "nuage", SSHPort: 22})
	golden(t, "../../../docs/commands.md", b.String())
}
