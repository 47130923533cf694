package command

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"plil.net/nuage/cloud"
)

func statusCommands() []command {
	return []command{{
		verb: "status", who: admins,
		short: "how the gateway is doing",
		long: "Shows the engine, the sites by state, what is waiting, memory and disk of the host, what holds disk limits, " +
			"recent repairs, what an admin should look at (sites that failed or are full, images that do not come up, warnings, " +
			"certificates).",
		flags:    []flag{{long: "root-ca", help: "print only the root certificate of the sites, for browsers and curl --cacert"}},
		examples: []string{"status", "status --json", "status --root-ca > nuage.pem"},
		run:      gatewayStatus,
	}}
}

func gatewayStatus(ctx context.Context, j *job) error {
	s, err := j.Cloud.Status(ctx, j.Who)
	if err != nil {
		return err
	}
	if j.is("root-ca") {
		return j.printRoot(s)
	}
	return j.show(s, func() { j.printStatus(s) })
}

func (j *job) printRoot(s cloud.Status) error {
	if s.RootCA == "" {
		return cloud.Errorf(cloud.NotFound, "this gateway has no authority of its own").
			WithHint("browsers know who signed its certificates; http.cert in the config says where they come from")
	}
	only := struct {
		RootCA string `json:"root_ca"`
	}{s.RootCA}
	return j.show(only, func() { fmt.Fprintln(j.Stdout, strings.TrimSpace(s.RootCA)) })
}

func (j *job) printStatus(s cloud.Status) {
	engine := s.Engine + ", up"
	if !s.EngineUp {
		engine = strings.TrimSuffix(s.Engine+", down: "+s.Problem, ": ")
	}
	if s.Engine == "none" {
		engine = "none: static sites only"
	}
	dropped := ""
	if s.Dropped > 0 {
		dropped = fmt.Sprintf("%d requests dropped: the disk could not keep up", s.Dropped)
	}
	root := ""
	if s.RootCA != "" {
		root = "its own: " + j.line("status --root-ca > nuage.pem")
	}
	j.facts([2]string{"version", s.Version}, [2]string{"started", j.ago(s.Started)}, [2]string{"engine", engine},
		[2]string{"accounts", strconv.Itoa(s.Accounts)}, [2]string{"sites", byState(s.Sites)}, [2]string{"in use", strconv.Itoa(s.InUse)},
		[2]string{"waiting", waiting(s)}, [2]string{"memory", leftOf(s.Spare, s.Memory)}, [2]string{"disk", leftOf(s.DiskFree, s.Disk)},
		[2]string{"disk limits", s.Limits}, [2]string{"access logs", dropped}, [2]string{"root CA", root},
		[2]string{"repairs", repairs(len(s.Repairs))})
	j.printRepairs(s.Repairs)
	for _, f := range s.Failed[:min(len(s.Failed), failedShown)] {
		fmt.Fprintf(j.Stdout, "failed: %s: %s\n", f.Site, visible(f.Reason))
	}
	if more := len(s.Failed) - failedShown; more > 0 {
		fmt.Fprintf(j.Stdout, "failed: %d more: %s\n", more, j.line("site list --all"))
	}
	j.printHeld(s.Held)
	if len(s.Full) > 0 {
		fmt.Fprintf(j.Stdout, "full: %s\n", strings.Join(s.Full, ", "))
	}
	for _, w := range s.Warnings {
		fmt.Fprintf(j.Stdout, "warning: %s\n", visible(w))
	}
	for _, problem := range s.CertificateProblems {
		fmt.Fprintf(j.Stdout, "certificate: %s\n", visible(problem))
	}
}

const (
	failedShown  = 10
	repairsShown = 10
)

func repairs(n int) string {
	if n == 0 {
		return "none since the start"
	}
	return strconv.Itoa(n) + " since the start, the last ones:"
}

// printRepairs shows the last repairs, the newest first.
func (j *job) printRepairs(all []cloud.Repair) {
	for i, r := range slices.Backward(all) {
		if len(all)-i > repairsShown {
			fmt.Fprintf(j.Stdout, "  and %d more: %s\n", i+1, j.line("status --json"))
			return
		}
		fmt.Fprintf(j.Stdout, "  %s  %s\n", j.ago(r.Time), visible(r.Text))
	}
}

// waiting is what goes on, and what is still to come.
func waiting(s cloud.Status) string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{
		{s.Waking, "waking"}, {s.Updating, "taking a new image"}, {s.Outdated - s.Updating - len(s.Held), "to take one at the next wake or restart"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// printHeld shows the images that did not come up, each with the first of its reasons.
func (j *job) printHeld(held []cloud.HeldSite) {
	sites := map[string]int{}
	for _, h := range held {
		sites[h.Image]++
	}
	for _, h := range held {
		if n := sites[h.Image]; n > 0 {
			fmt.Fprintf(j.Stdout, "image %s: %d on the one before, such as %s: %s\n", shortID(h.Image), n, h.Site, visible(h.Reason))
			delete(sites, h.Image)
		}
	}
}

// shortID is an image's id as docker shows it.
func shortID(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(len(id), 12)]
}

// leftOf is "3.2GiB of 24GiB left".
func leftOf(left, all int64) string {
	if all == 0 {
		return ""
	}
	return size(left) + " of " + size(all) + " left"
}

// byState is "12: 10 running, 2 stopped".
func byState(sites map[cloud.State]int) string {
	total := 0
	var parts []string
	for _, state := range slices.Sorted(maps.Keys(sites)) {
		total += sites[state]
		parts = append(parts, fmt.Sprintf("%d %s", sites[state], state))
	}
	if total == 0 {
		return "0"
	}
	return fmt.Sprintf("%d: %s", total, strings.Join(parts, ", "))
}
