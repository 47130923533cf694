package command

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"plil.net/nuage/cloud"
)

// unknownCommand names the command that was probably meant.
func (j *job) unknownCommand(words []string) error {
	typed := strings.Join(words[:min(len(words), 2)], " ")
	i := slices.IndexFunc(nouns, func(n noun) bool { return n.name == words[0] })
	if i < 0 && len(words) > 1 && !nounLike(words[0]) {
		typed = words[0]
	}
	hint := "all commands: " + j.line("help")
	if near := j.table.nearest(words); near != "" {
		hint = `did you mean "` + near + "\"?\n" + hint
	} else if i >= 0 {
		hint = words[0] + " has " + strings.Join(j.table.verbs(words[0]), ", ") + "\n" + hint
	}
	return cloud.Errorf(cloud.Usage, "unknown command %q", typed).WithHint("%s", hint)
}

func nounLike(word string) bool {
	return slices.ContainsFunc(nouns, func(n noun) bool { return near(n.name, word) < far })
}

func (t table) verbs(noun string) (verbs []string) {
	for _, c := range t {
		if c.noun == noun {
			verbs = append(verbs, c.verb)
		}
	}
	return verbs
}

// nearest is the name of the row that looks most like words: mistyped, in another order, or without its noun.
// It is "" where none does.
func (t table) nearest(words []string) string {
	best, name := far, ""
	for i := range t {
		if d := t[i].distance(words); d < best {
			best, name = d, t[i].name()
		}
	}
	return name
}

func (c *command) distance(words []string) int {
	first, second := words[0], ""
	if len(words) > 1 {
		second = words[1]
	}
	if c.noun == "" {
		return nearAny(c.verb, verbAliases[c.verb], first)
	}
	var also []string
	for _, n := range nouns {
		if n.name == c.noun {
			also = n.aliases
		}
	}
	verb := func(word string) int { return nearAny(c.verb, verbAliases[c.verb], word) }
	noun := func(word string) int { return nearAny(c.noun, also, word) }
	return min(noun(first)+verb(second), verb(first)+noun(second), verb(first)+1)
}

func nearAny(word string, aliases []string, typed string) int {
	d := near(word, typed)
	for _, a := range aliases {
		d = min(d, near(a, typed))
	}
	return d
}

// nearestFlag is the flag of at that looks most like name, with its dashes; "" if none does.
func nearestFlag(at *cobra.Command, name string) (found string) {
	best := far
	look := func(f *pflag.Flag) {
		if d := near(f.Name, name); d < best {
			best, found = d, "--"+f.Name
		}
	}
	at.Flags().VisitAll(look)
	at.InheritedFlags().VisitAll(look)
	return found
}

// far is the distance of words that have nothing in common.
const far = 100

// near is the edit distance of two words (with swapped neighbours as one edit), or far if it is too large to be a
// slip of the fingers.
func near(word, typed string) int {
	if len(typed) > 64 || typed == "" {
		return far
	}
	a, b := []rune(word), []rune(strings.ToLower(typed))
	limit := 1
	if len(a) > 3 {
		limit = 2
	}
	if len(b) < 2 {
		limit = 0
	}
	if d := distance(a, b); d <= limit {
		return d
	}
	return far
}

func distance(a, b []rune) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for k := range b {
		rows[0][k+1] = k + 1
	}
	for i := range a {
		for k := range b {
			cost := 1
			if a[i] == b[k] {
				cost = 0
			}
			d := min(rows[i][k+1]+1, rows[i+1][k]+1, rows[i][k]+cost)
			if i > 0 && k > 0 && a[i] == b[k-1] && a[i-1] == b[k] {
				d = min(d, rows[i-1][k-1]+1)
			}
			rows[i+1][k+1] = d
		}
	}
	return rows[len(a)][len(b)]
}
