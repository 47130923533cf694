package command

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/term"

	"plil.net/nuage/cloud"
)

// completion finds the words that a line can go on with.
type completion struct {
	table table
	admin func() bool
	names func(thing) []string
}

// completer completes lines at the prompt. It asks for each kind of name once a line.
func (j *job) completer(ctx context.Context) completer {
	known := map[thing][]string{}
	c := completion{table: j.table, admin: sync.OnceValue(func() bool { return j.isAdmin(ctx) })}
	c.names = func(is thing) []string {
		if _, ok := known[is]; !ok {
			known[is] = j.names(ctx, is, c.admin)
		}
		return known[is]
	}
	return func(e *term.Terminal, line string, at int) (string, int, bool) {
		word, found := c.complete(line[:at])
		if len(found) == 0 {
			return "", 0, false
		}
		more := common(found)[len(word):]
		switch {
		case len(found) == 1 && !strings.HasSuffix(found[0], "=") && !strings.HasPrefix(line[at:], " "):
			more += " "
		case len(found) > 1 && more == "":
			fmt.Fprintf(e, "%s\n", listed(found, int(j.term.window().Columns)))
		}
		return line[:at] + more + line[at:], at + len(more), true
	}
}

// complete returns the word at the end of line, and the words it can become.
func (c completion) complete(line string) (word string, found []string) {
	start := strings.LastIndexAny(line, " \t") + 1
	word = line[start:]
	before, err := split(line[:start])
	if err != nil || strings.ContainsAny(word, `'"\`) {
		return word, nil
	}
	for _, w := range c.candidates(before, word) {
		if strings.HasPrefix(w, word) && !slices.Contains(found, w) {
			found = append(found, w)
		}
	}
	return word, found
}

// candidates are all words that may stand behind others, in the place of word.
func (c completion) candidates(before []string, word string) []string {
	t := newTree(c.table)
	at, _, err := t.root.Find(before)
	switch row := t.rows[at]; {
	case err != nil:
		return nil
	case row == nil:
		return c.beginnings(before)
	case row.verb == "help" && row.noun == "":
		return c.beginnings(before[1:])
	default:
		return c.following(row, before[len(strings.Fields(row.name())):], word)
	}
}

// beginnings are the words that go on with the name of a command.
func (c completion) beginnings(before []string) (words []string) {
	for i := range c.table {
		switch row := &c.table[i]; {
		case row.who == admins && !c.admin():
		case len(before) == 0 && row.noun != "":
			words = append(words, row.noun)
		case len(before) == 0, len(before) == 1 && row.noun != "" && row.noun == nounOf(before[0]):
			words = append(words, row.verb)
		}
	}
	return words
}

// nounOf is the noun that a word is an alias of.
func nounOf(word string) string {
	for _, n := range nouns {
		if slices.Contains(n.aliases, word) {
			return n.name
		}
	}
	return word
}

// following are the words that go on behind the arguments typed so far.
func (c completion) following(row *command, typed []string, word string) (words []string) {
	if len(typed) > 0 {
		if f := row.flagOf(typed[len(typed)-1]); f != nil && f.value != "" {
			return c.names(f.is)
		}
	}
	if strings.HasPrefix(word, "-") {
		for _, f := range row.flags {
			if !f.admins || c.admin() {
				words = append(words, "--"+f.long)
			}
		}
		if c.admin() {
			words = append(words, "--as")
		}
		return append(words, "--json", "--help")
	}
	n, last := row.argsIn(typed), len(row.args)-1
	if last >= 0 && n > last && row.args[last].many {
		n = last
	}
	if n > last {
		return nil
	}
	return c.names(row.args[n].is)
}

func (c *command) flagOf(word string) *flag {
	if word == "--as" {
		return &flag{long: "as", value: "ACCOUNT", is: anAccount}
	}
	for i, f := range c.flags {
		if word == "--"+f.long || f.short != "" && word == "-"+f.short {
			return &c.flags[i]
		}
	}
	return nil
}

// argsIn counts the words that are neither flags nor values of flags.
func (c *command) argsIn(typed []string) (n int) {
	for i, w := range typed {
		value := i > 0 && c.flagOf(typed[i-1]) != nil && c.flagOf(typed[i-1]).value != ""
		if !strings.HasPrefix(w, "-") && !value {
			n++
		}
	}
	return n
}

// names are the words that stand for a thing.
func (j *job) names(ctx context.Context, is thing, admin func() bool) []string {
	switch is {
	case aSite:
		sites, _ := j.Cloud.Sites(ctx, j.Who, false)
		return each(sites, func(s cloud.Site) string { return s.Name })
	case aDomain:
		domains, _ := j.Cloud.DomainList(ctx, j.Who)
		return each(domains, func(d cloud.DomainInfo) string { return d.Host })
	case aKey:
		keys, _ := j.Cloud.Keys(ctx, j.Who, j.Who.Account)
		return each(keys, func(k cloud.Key) string { return k.Fingerprint })
	case aType:
		return []string{string(cloud.PHP), string(cloud.Static)}
	case siteSetting:
		return []string{
			"type=", "type=php", "type=static", "root=", "idle=", "idle=never", "php=", "https=force", "main=",
			"maintenance=on", "maintenance=off", "password=-", "password=", "owner=",
		}
	case accountSetting:
		return []string{"group=", "role=admin", "role=member", "link=yes", "max_sites=", "memory=", "cpus=", "disk=", "idle="}
	}
	switch {
	case !admin():
	case is == anAccount:
		accounts, _ := j.Cloud.Accounts(ctx, j.Who)
		return each(accounts, func(a cloud.AccountInfo) string { return a.Name })
	case is == aGroup:
		groups, _ := j.Cloud.GroupList(ctx, j.Who)
		return each(groups, func(g cloud.GroupInfo) string { return g.Name })
	}
	return nil
}

func each[T any](list []T, name func(T) string) []string {
	names := []string{}
	for _, v := range list {
		names = append(names, name(v))
	}
	return names
}

// common is what all words begin with.
func common(words []string) string {
	prefix := words[0]
	for _, w := range words {
		for !strings.HasPrefix(w, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	return prefix
}

const listedAtMost = 100 // candidates shown at once

// listed lays candidates out in lines no wider than the terminal.
func listed(words []string, width int) string {
	if width == 0 {
		width = 80
	}
	rest := ""
	if extra := len(words) - listedAtMost; extra > 0 {
		words, rest = words[:listedAtMost], fmt.Sprintf("\n… and %d more", extra)
	}
	return wrap(strings.Join(words, " "), width-1) + rest
}
