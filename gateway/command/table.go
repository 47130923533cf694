// Package command is every command of nuage as one table, and what follows from it: parsing, help, completion,
// the prompt and the manual. It runs a command line for somebody with given streams and prints what came of it.
// It knows no SSH, keeps nothing between two calls, and decides no rights: that is cloud's.
package command

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// commands is the table, in the order of help.
func commands() table {
	return slices.Concat(
		siteCommands(), shellCommands(), backupCommands(), domainCommands(), keyCommands(), aboutCommands(),
		accountCommands(), groupCommands(), auditCommands(), statusCommands(), importCommands(),
	)
}

// nouns are what commands are about, with other words that people try.
var nouns = []noun{
	{"site", []string{"sites", "website", "websites"}, "websites: make, see, change, delete"},
	{"domain", []string{"domains"}, "domains of your own for your websites"},
	{"key", []string{"keys", "ssh-key", "ssh-keys"}, "SSH keys that let you in"},
	{"account", []string{"accounts", "user", "users"}, "people"},
	{"group", []string{"groups"}, "kinds of people, with their limits"},
}

// verbAliases are other words for verbs; a command that has the word itself comes first.
var verbAliases = map[string][]string{
	"list": {"ls"}, "info": {"show"}, "create": {"new", "make"}, "delete": {"rm"}, "remove": {"rm", "delete"},
	"logs": {"log"},
}

type table []command

type noun struct {
	name    string
	aliases []string
	help    string
}

// command is one row: all that is known of a command.
type command struct {
	noun, verb string // noun is "" for a command of one word
	args       []arg
	flags      []flag
	who        audience
	short      string      // one line for lists, no full stop
	long       string      // sentences for its own page
	settings   [][2]string // what KEY=VALUE may be: an example, and what it does
	examples   []string    // command lines, without the ssh before them
	run        func(context.Context, *job) error

	// terminal: it asks or shows something there, so the line to type has ssh -t.
	terminal bool
	// verbatim: flags end at the first argument; what follows belongs to somebody else's program.
	verbatim bool
}

// audience says to whom help and completion show a command. Who may run it is decided by cloud.
type audience int

const (
	_        audience = iota // a row must say it
	everyone                 // on one's own things
	users                    // owner and members of a site
	owners                   // of a site
	admins
)

func (a audience) String() string {
	return [...]string{"nobody", "everyone", "owner and members of the site", "owner of the site", "admins"}[a]
}

// arg is a positional argument. Only the last may be optional or many.
type arg struct {
	name     string // as usage shows it
	is       thing
	optional bool
	many     bool
}

type flag struct {
	long, short string
	value       string // as usage shows it; "" for a switch
	help        string
	is          thing // of the value
	admins      bool  // help shows it to admins only
}

// thing says what a word stands for, so that it can be completed.
type thing int

const (
	anything thing = iota
	aSite
	aDomain
	anAccount
	aGroup
	aKey
	aType
	aCommand
	siteSetting
	accountSetting
)

// name is what people type: "site create".
func (c *command) name() string { return strings.TrimSpace(c.noun + " " + c.verb) }

// usage is the name with its arguments and flags, for an admin or not.
func (c *command) usage(admin bool) string {
	words := []string{c.name()}
	for _, a := range c.args {
		words = append(words, a.usage())
	}
	for _, f := range c.flags {
		if admin || !f.admins {
			words = append(words, "["+f.usage()+"]")
		}
	}
	return strings.Join(words, " ")
}

func (a arg) usage() string {
	s := a.name
	if a.many {
		s += "…"
	}
	if a.optional {
		s = "[" + s + "]"
	}
	return s
}

// usage is the shorter way to type the flag.
func (f flag) usage() string {
	s := "--" + f.long
	if f.short != "" {
		s = "-" + f.short
	}
	if f.value != "" {
		s += " " + f.value
	}
	return s
}

// check refuses a row that could not explain itself.
func (c *command) check() error {
	switch {
	case c.verb == "" || c.run == nil:
		return fmt.Errorf("command %q has no verb or does nothing", c.name())
	case c.who == 0:
		return fmt.Errorf("command %q does not say whom it is for", c.name())
	case c.short == "" || c.long == "" || len(c.examples) == 0:
		return fmt.Errorf("command %q lacks help or an example", c.name())
	case c.noun != "" && !slices.ContainsFunc(nouns, func(n noun) bool { return n.name == c.noun }):
		return fmt.Errorf("command %q has a noun that nobody knows", c.name())
	}
	for _, f := range c.flags {
		if f.long == "" || f.help == "" {
			return fmt.Errorf("command %q: flag %q lacks a name or help", c.name(), f.long)
		}
	}
	for i, a := range c.args {
		if a.name == "" || i < len(c.args)-1 && (a.optional || a.many) {
			return fmt.Errorf("command %q: argument %d has no name or must be the last", c.name(), i+1)
		}
	}
	return nil
}
