package command

import (
	"context"
	"fmt"
	"time"

	"plil.net/nuage/cloud"
)

func keyCommands() []command {
	account := flag{long: "account", value: "A", is: anAccount, help: "somebody else's", admins: true}
	return []command{
		{
			noun: "key", verb: "add", who: everyone,
			flags: []flag{{long: "label", value: "L", help: "what to call it, if not by its comment"}, account},
			short: "let in another key of yours",
			long: "Reads one public key, as in a .pub file, from standard input; at a terminal it asks for it. A key " +
				"belongs to one account only.",
			examples: []string{"key add < ~/.ssh/id_ed25519.pub", "key add --label laptop < ~/.ssh/id_ed25519.pub"},
			run:      keyAdd,
		},
		{
			noun: "key", verb: "list", who: everyone, flags: []flag{account},
			short: "the keys that let you in",
			long: "Lists keys by fingerprint, as ssh-keygen -l prints it, with when and how they were added, the day of " +
				"their last login, and when they expire unless you log in at the school before then.",
			examples: []string{"key list"},
			run:      keyList,
		},
		{
			noun: "key", verb: "remove", who: everyone, args: []arg{{name: "FINGERPRINT", is: aKey}}, flags: []flag{account},
			short: "shut a key out",
			long: "FINGERPRINT is what key list shows, or a beginning of it that fits one key only. Sessions that are " +
				"open by it end at once. Your only key cannot be removed.",
			examples: []string{"key remove SHA256:1yQ4…"},
			run:      keyRemove,
		},
	}
}

// keyView is a key for programs.
type keyView struct {
	Fingerprint string    `json:"fingerprint"`
	Type        string    `json:"type"`
	Label       string    `json:"label"`
	Account     string    `json:"account"`
	Origin      string    `json:"origin"`
	Created     time.Time `json:"created"`
	Used        time.Time `json:"used,omitzero"` // last login, to the day
	Expires     time.Time `json:"expires,omitzero"`
}

func viewKey(k cloud.Key) keyView {
	return keyView{k.Fingerprint, k.Type, k.Label, k.Account, k.Origin, k.Created.UTC().Truncate(time.Second), k.Used.UTC(), k.Expires.UTC()}
}

func keyAdd(ctx context.Context, j *job) error {
	text, err := j.readKey(ctx)
	if err != nil {
		return err
	}
	k, err := j.Cloud.AddKey(ctx, j.Who, j.mine(), text, j.flag("label"))
	if err != nil {
		return err
	}
	return j.show(viewKey(k), func() {
		fmt.Fprintf(j.Stdout, "%s\n", k.Fingerprint)
		j.say("this key now lets %s in", k.Account)
	})
}

func keyList(ctx context.Context, j *job) error {
	keys, err := j.Cloud.Keys(ctx, j.Who, j.mine())
	if err != nil {
		return err
	}
	views := []keyView{}
	var rows [][]string
	for _, k := range keys {
		views = append(views, viewKey(k))
		used := j.ago(k.Used)
		if !k.Used.IsZero() {
			used = k.Used.Format(time.DateOnly)
		}
		rows = append(rows, []string{k.Fingerprint, k.Type, k.Label, j.ago(k.Created), k.Origin, used, j.ago(k.Expires)})
	}
	return j.show(views, func() {
		if len(rows) == 0 {
			j.say("No key. Add one: %s", j.line("key add < ~/.ssh/id_ed25519.pub"))
			return
		}
		j.rows([]column{
			{title: "FINGERPRINT"}, {title: "TYPE"}, {title: "LABEL", shrinks: true}, {title: "ADDED"}, {title: "HOW", shrinks: true},
			{title: "USED"}, {title: "EXPIRES"},
		}, rows)
	})
}

func keyRemove(ctx context.Context, j *job) error {
	k, err := j.Cloud.RemoveKey(ctx, j.Who, j.mine(), j.arg(0))
	if err != nil {
		return err
	}
	return j.show(viewKey(k), func() { j.say("%s no longer lets %s in", k.Fingerprint, k.Account) })
}
