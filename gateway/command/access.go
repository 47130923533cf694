package command

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"plil.net/nuage/cloud"
)

func siteStatsCommand(name arg) command {
	return command{
		noun: "site", verb: "stats", who: users, args: []arg{name},
		flags: []flag{{long: "since", value: "WHEN", help: "how far back: 1d, 7d (usual), 30d, or a date"}},
		short: "who came to a website, and what for",
		long: "Counts the visits, requests and bytes of a site, the status codes, the pages most asked for and those " +
			"most missed (404), from its access log. A visit is one address with one browser; coming back after half an " +
			"hour counts as another.",
		examples: []string{"site stats blog", "site stats blog --since 30d", "site stats blog --since 1d --json"},
		run:      siteStats,
	}
}

func siteStats(ctx context.Context, j *job) error {
	back := "7d"
	if j.given("since") {
		back = j.flag("since")
	}
	from, err := since(back, j.Cloud.Now())
	if err != nil {
		return err
	}
	s, err := j.Cloud.SiteStats(ctx, j.Who, j.arg(0), from)
	if err != nil {
		return err
	}
	return j.show(s, func() { j.printStats(s) })
}

func (j *job) printStats(s cloud.Stats) {
	if s.Requests == 0 {
		j.say("Nobody has asked for %s since %s.", s.Site, s.Since.In(j.Cloud.Now().Location()).Format(time.DateTime))
		return
	}
	dropped := ""
	if s.Dropped > 0 {
		dropped = fmt.Sprintf("%d requests came too fast to be told apart", s.Dropped)
	}
	j.facts([2]string{"site", s.Site}, [2]string{"from", s.First.In(j.Cloud.Now().Location()).Format(time.DateTime)},
		[2]string{"visits", fmt.Sprint(s.Visits)}, [2]string{"requests", fmt.Sprint(s.Requests)},
		[2]string{"sent", cloud.FormatSize(s.Bytes)}, [2]string{"codes", codes(s.Codes)}, [2]string{"note", dropped})
	j.printPaths("most asked for", s.Pages)
	j.printPaths("most missed (404)", s.Missed)
}

// codes is "200: 17, 404: 2".
func codes(all map[int]int) string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, fmt.Sprintf("%d: %d", code, all[code]))
	}
	return strings.Join(parts, ", ")
}

func (j *job) printPaths(title string, list []cloud.PathCount) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(j.Stdout, "\n%s\n", title)
	for _, p := range list {
		fmt.Fprintf(j.Stdout, "%8d  %s\n", p.Count, visible(p.Path))
	}
}

// accessLog prints hits as they are read.
func (j *job) accessLog(ctx context.Context, f cloud.HitFilter) error {
	switch {
	case !j.json:
		return j.Cloud.AccessLog(ctx, j.Who, j.arg(0), f, j.printHit)
	case f.Follow:
		return j.Cloud.AccessLog(ctx, j.Who, j.arg(0), f, func(h cloud.Hit) error {
			_, err := fmt.Fprintf(j.Stdout, "%s\n", encode(h, ""))
			return err
		})
	}
	return j.array(func(add func(any) error) error {
		return j.Cloud.AccessLog(ctx, j.Who, j.arg(0), f, func(h cloud.Hit) error { return add(h) })
	})
}

// printHit prints a line of the combined log format. Programs read it, so the hits that are missing are talk.
func (j *job) printHit(h cloud.Hit) error {
	if h.Dropped > 0 {
		j.say("%d requests are missing here: they came faster than they could be written", h.Dropped)
		return nil
	}
	_, err := fmt.Fprintf(j.Stdout, "%s - - [%s] \"%s %s %s\" %d %d \"%s\" \"%s\"\n", quoted(h.Client),
		h.Time.In(j.Cloud.Now().Location()).Format("02/Jan/2006:15:04:05 -0700"),
		quoted(h.Method), quoted(h.Path), quoted(h.Proto), h.Status, h.Bytes, quoted(dash(h.Referer)), quoted(dash(h.Agent)))
	return err
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// quoted is fit to stand in quotes in a log, as Apache and nginx write it: whatever could end the quotes or the line,
// or reach a terminal, is \xHH of its bytes.
func quoted(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			fmt.Fprintf(&b, `\x%02X`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
