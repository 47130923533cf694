// Command density measures what many sites cost on this machine: how long a sleeping one takes to answer, what a running
// one weighs and where that goes, and how the gateway bears all of them. It starts bin/nuage on a directory of its own and
// removes what it made, also when it is stopped. It needs root, a Docker engine and the standard image, and a machine that
// does nothing else: the memory of one site is small beside what other programs take and give back meanwhile.
//
//	go run ./bench/density                     all of it, half an hour
//	go run ./bench/density -parts start,wake   some of it
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// plan is what is measured.
type plan struct {
	sites, running, rounds, visitors, creates int
	visits, rest                              time.Duration
	parts, nuage                              string
}

// part is what can be measured by itself.
type part struct {
	name    string
	measure func(plan, *stage) error
}

// parts come in this order: each finds the sites as the ones before have left them, or makes them so.
var parts = []part{
	{"start", plan.restart},
	{"wake", plan.wake},
	{"crowd", plan.crowd},
	{"weigh", plan.weigh},
	{"bear", plan.bear},
	{"storm", plan.storm},
}

func main() {
	var p plan
	flag.IntVar(&p.sites, "sites", 900, "registered sites")
	flag.IntVar(&p.running, "running", 200, "sites that run at once")
	flag.IntVar(&p.rounds, "rounds", 50, "wakes that are timed")
	flag.IntVar(&p.visitors, "visitors", 200, "visitors of one sleeping site at once")
	flag.IntVar(&p.creates, "creates", 5, "sites made while none runs, and while all do")
	flag.DurationVar(&p.visits, "visits", 5*time.Minute, "for how long each running site is visited once a second")
	flag.DurationVar(&p.rest, "rest", 80*time.Second, "for how long sites are left alone before they are weighed")
	flag.StringVar(&p.parts, "parts", "all", "what to measure: start,wake,crowd,weigh,bear,storm")
	flag.StringVar(&p.nuage, "nuage", "bin/nuage", "the program")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := p.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "density:", err)
		os.Exit(1)
	}
}

func (p plan) run(ctx context.Context) error {
	for name := range strings.SplitSeq(p.parts, ",") {
		if name != "all" && !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
			return fmt.Errorf("there is no part %q", name)
		}
	}
	s, err := newStage(ctx, p.nuage)
	if err != nil {
		return err
	}
	defer s.clean()
	if err := s.serve(); err != nil {
		return err
	}
	if err := s.register(p.sites); err != nil {
		return err
	}
	fmt.Printf("| what | measured | goal | |\n|---|--:|--:|---|\n")
	for _, part := range parts {
		if p.parts != "all" && !slices.Contains(strings.Split(p.parts, ","), part.name) {
			continue
		}
		if err := part.measure(p, s); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// row prints one line of the table; without a goal there is nothing to meet.
func row(what, measured, goal string, met bool) {
	verdict := map[bool]string{true: "met", false: "**missed**"}[met]
	if goal == "" {
		goal, verdict = "–", ""
	}
	fmt.Printf("| %s | %s | %s | %s |\n", what, measured, goal, verdict)
}
