package command

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"plil.net/nuage/cloud"
)

func auditCommands() []command {
	return []command{{
		verb: "audit", who: admins,
		flags: []flag{
			{long: "account", value: "A", is: anAccount, help: "only what A did, or an admin as A"},
			{long: "site", value: "S", is: aSite, help: "only what was done to the site S"},
			{long: "since", value: "WHEN", help: "only what is newer: 30m, 1h, 7d, 2026-11-02 or an RFC 3339 time"},
			{long: "follow", short: "f", help: "go on with new events until Ctrl-C"},
		},
		short:    "who did what, when, and how it ended",
		long:     "Prints the events of the audit, oldest first. With --json they are an array, with --json -f one event a line.",
		examples: []string{"audit --since 1h", "audit --site blog", "audit --account jean.dupont --since 7d", "audit -f"},
		run:      auditRead,
	}}
}

func auditRead(ctx context.Context, j *job) error {
	f := cloud.EventFilter{Account: j.flag("account"), Target: j.flag("site")}
	if j.given("since") {
		var err error
		if f.Since, err = since(j.flag("since"), j.Cloud.Now()); err != nil {
			return err
		}
	}
	follow := j.is("follow")
	if !j.json {
		return j.Cloud.Audit(ctx, j.Who, f, follow, j.printEvent)
	}
	if follow {
		return j.Cloud.Audit(ctx, j.Who, f, true, func(e cloud.Event) error {
			_, err := fmt.Fprintf(j.Stdout, "%s\n", encode(utc(e), ""))
			return err
		})
	}
	return j.auditArray(ctx, f)
}

func utc(e cloud.Event) cloud.Event {
	e.Time = e.Time.UTC()
	return e
}

// auditArray writes the events as one array.
func (j *job) auditArray(ctx context.Context, f cloud.EventFilter) error {
	return j.array(func(add func(any) error) error {
		return j.Cloud.Audit(ctx, j.Who, f, false, func(e cloud.Event) error { return add(utc(e)) })
	})
}

// array writes one array without holding all of it. Where nothing may be read it writes nothing.
func (j *job) array(each func(add func(any) error) error) error {
	before := "[\n"
	err := each(func(v any) error {
		_, err := fmt.Fprintf(j.Stdout, "%s  %s", before, encode(v, ""))
		before = ",\n"
		return err
	})
	if err != nil {
		return err
	}
	end := "\n]\n"
	if before != ",\n" {
		end = "[]\n"
	}
	_, err = fmt.Fprint(j.Stdout, end)
	return err
}

// printEvent prints one line: events come one by one, so the columns are of fixed width.
func (j *job) printEvent(e cloud.Event) error {
	who := e.Account
	if e.As != "" {
		who += " as " + e.As
	}
	text := fmt.Sprintf("%s  %-20s  %-15s  %-28s  %s", e.Time.In(j.Cloud.Now().Location()).Format(time.DateTime),
		visible(who), visible(string(e.Action)), visible(e.Target), visible(e.Result))
	if e.Path != "" {
		text += fmt.Sprintf(" %q %d bytes", e.Path, e.Bytes)
	}
	if e.Detail != "" {
		text += ": " + visible(e.Detail)
	}
	if e.Certificate != "" {
		text += "  (certificate " + visible(e.Certificate) + ")"
	}
	if e.Received+e.Sent > 0 {
		text += fmt.Sprintf(", %s in, %s out", size(e.Received), size(e.Sent))
	}
	_, err := fmt.Fprintf(j.Stdout, "%s\n", text)
	return err
}

// since reads how far back to go: a duration, with days, or a time.
func since(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, now.Location()); err == nil {
		return t, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, cloud.Errorf(cloud.Invalid, "%q is not a time", s).WithHint("write it like 30m, 1h, 7d, 2026-11-02 or 2026-11-02T15:04:05Z")
}
