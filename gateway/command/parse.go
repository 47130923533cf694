package command

import (
	"errors"
	"slices"
	"strings"

	"github.com/kballard/go-shellquote"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"plil.net/nuage/cloud"
)

// maxLine is longer than any line a person types, and short enough to show back.
const maxLine = 64 << 10 // bytes

// split cuts a line into words as a POSIX shell does: spaces, quotes, backslashes. OpenSSH joins its arguments
// with spaces and sends one string, so what its user quoted twice arrives quoted once. Nothing is expanded.
func split(line string) ([]string, error) {
	if len(line) > maxLine {
		return nil, cloud.Errorf(cloud.Usage, "the command line has %d bytes; the limit is %d", len(line), maxLine)
	}
	words, err := shellquote.Split(line)
	if err != nil {
		return strings.Fields(line), err
	}
	return words, nil
}

func (j *job) unsplit(err error) error {
	var e *cloud.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, shellquote.UnterminatedEscapeError):
		return cloud.Errorf(cloud.Usage, `the line ends in the middle of a \ escape`).WithHint(`write \\ for a backslash`)
	}
	return cloud.Errorf(cloud.Usage, "a quote is opened and never closed").
		WithHint(`close it, or write it as \' or \"; through ssh, quote the whole command once more: %s`,
			j.Cloud.Door.SSH(`'key add --label "my laptop"'`))
}

// wantsJSON looks for --json before anything else is known of the line, so that errors in it are JSON too.
func wantsJSON(words []string) bool {
	if end := slices.Index(words, "--"); end >= 0 {
		words = words[:end]
	}
	return slices.Contains(words, "--json")
}

// tree is the table in the form that cobra can search and parse.
type tree struct {
	root *cobra.Command
	rows map[*cobra.Command]*command
}

func newTree(t table) tree {
	r := tree{root: &cobra.Command{Use: "nuage", Args: cobra.ArbitraryArgs}, rows: map[*cobra.Command]*command{}}
	r.root.PersistentFlags().Bool("json", false, "print JSON for programs")
	r.root.PersistentFlags().BoolP("help", "h", false, "explain the command")
	r.root.PersistentFlags().String("as", "", "as another account sees it, for admins")
	parents := map[string]*cobra.Command{"": r.root}
	for _, n := range nouns {
		parents[n.name] = &cobra.Command{Use: n.name, Aliases: n.aliases, Args: cobra.ArbitraryArgs}
		r.root.AddCommand(parents[n.name])
	}
	for i := range t {
		leaf := newLeaf(&t[i])
		r.rows[leaf] = &t[i]
		parents[t[i].noun].AddCommand(leaf)
	}
	return r
}

func newLeaf(c *command) *cobra.Command {
	leaf := &cobra.Command{Use: c.verb, Aliases: verbAliases[c.verb], Args: cobra.ArbitraryArgs}
	leaf.Flags().SetInterspersed(!c.verbatim)
	leaf.Flags().SortFlags = false
	for _, f := range c.flags {
		if f.value == "" {
			leaf.Flags().BoolP(f.long, f.short, false, f.help)
		} else {
			leaf.Flags().StringP(f.long, f.short, "", f.help)
		}
	}
	return leaf
}

// parse finds the row that words name and reads its flags and arguments. help says that help is asked for.
func (j *job) parse(words []string) (help bool, err error) {
	t := newTree(j.table)
	at, rest, err := t.root.Find(words)
	if err != nil {
		return false, cloud.Errorf(cloud.Usage, "%s", err)
	}
	j.command, j.topic = t.rows[at], path(at)
	if said := append(path(at), plain(rest)...); j.command == nil && len(plain(rest)) > 0 && j.table.find(said) == nil {
		return false, j.unknownCommand(said)
	}
	if err := at.ParseFlags(rest); err != nil {
		return false, j.badFlag(at, err)
	}
	j.flags, j.args = at.Flags(), at.Flags().Args()
	j.json = j.is("json")
	switch {
	case j.command == nil, j.is("help"):
		return true, nil
	case j.command.verbatim && len(j.args) > 1:
		if j.args[1] == "--" {
			j.args = slices.Delete(j.args, 1, 2)
		} else if j.args[1] == "--help" || j.args[1] == "-h" {
			return true, nil
		}
	}
	return false, j.checkArgs()
}

// plain is words without flags.
func plain(words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.HasPrefix(w, "-") })
}

// find is the row that words begin with the name of, nil if there is none.
func (t table) find(words []string) *command {
	for i := range t {
		c := &t[i]
		if c.noun == "" && len(words) > 0 && words[0] == c.verb ||
			c.noun != "" && len(words) > 1 && words[0] == c.noun && words[1] == c.verb {
			return c
		}
	}
	return nil
}

// path is the words that lead to a command.
func path(at *cobra.Command) []string {
	if !at.HasParent() {
		return nil
	}
	return append(path(at.Parent()), at.Name())
}

// checkArgs counts the arguments.
func (j *job) checkArgs() error {
	want := j.command.args
	for i, a := range want {
		if i >= len(j.args) && !a.optional {
			return cloud.Errorf(cloud.Usage, "%s needs %s", j.command.name(), a.name).WithHint("%s", j.usageLine())
		}
	}
	if extra := len(j.args) - len(want); extra > 0 && (len(want) == 0 || !want[len(want)-1].many) {
		return cloud.Errorf(cloud.Usage, "%s takes no %q", j.command.name(), j.args[len(want)]).WithHint("%s", j.usageLine())
	}
	return nil
}

func (j *job) usageLine() string { return j.lineOf(j.command, j.command.usage(true)) }

// badFlag says what is wrong with a flag, with the one that was probably meant.
func (j *job) badFlag(at *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		bad     *pflag.InvalidValueError
	)
	hint := j.line(strings.Join(append([]string{"help"}, j.topic...), " "))
	switch {
	case errors.As(err, &unknown):
		typed := "--" + unknown.GetSpecifiedName()
		if s := unknown.GetSpecifiedShortnames(); s != "" {
			typed = "-" + s
		}
		if near := nearestFlag(at, unknown.GetSpecifiedName()); near != "" {
			hint = "did you mean " + near + "?\n" + hint
		}
		return cloud.Errorf(cloud.Usage, "unknown flag %q", typed).WithHint("%s", hint)
	case errors.As(err, &missing):
		return cloud.Errorf(cloud.Usage, "flag %q needs a value", "--"+missing.GetFlag().Name).WithHint("%s", hint)
	case errors.As(err, &bad):
		return cloud.Errorf(cloud.Usage, "flag %q takes no value %q", "--"+bad.GetFlag().Name, bad.GetValue()).WithHint("%s", hint)
	}
	return cloud.Errorf(cloud.Usage, "%s", err).WithHint("%s", hint)
}
