// Command faults breaks things on purpose, at random moments and under load, and looks at what is left: nothing that was
// acknowledged may be lost, nothing may be left over, no visitor may ever meet another site. It runs bin/nuage and real
// clients in a world of its own (network, processes, mounts, Docker daemon), and removes all of it.
// It needs root, Docker and the standard image.
//
//	go run ./bench/faults -kills 200
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	var p plan
	parts := flag.String("parts", "kills,still,daemon,drift,full", "which of them, with commas")
	flag.IntVar(&p.kills, "kills", 200, "times that the gateway is killed")
	flag.IntVar(&p.people, "people", 4, "who work at once")
	flag.DurationVar(&p.load, "load", 3*time.Second, "longest work before a fault")
	flag.IntVar(&p.rounds, "rounds", 6, "of the other faults")
	flag.Uint64Var(&p.seed, "seed", uint64(time.Now().UnixNano()), "of chance: the same one asks for the same things")
	flag.StringVar(&p.image, "image", image, "of sites, as the machine's daemon has it")
	flag.StringVar(&p.nuage, "nuage", "bin/nuage", "the program")
	flag.Parse()
	p.parts = strings.Split(*parts, ",")
	status, inside, err := enter()
	if err == nil && inside {
		err = p.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		status = 1
	}
	os.Exit(status)
}

// plan is what is broken, and how often.
type plan struct {
	parts                 []string
	kills, people, rounds int
	load                  time.Duration
	seed                  uint64
	nuage, image          string
}

// part is one kind of fault, on a stage of its own.
type part struct {
	name string
	run  func(*stage) error
}

func (p plan) run() error {
	fmt.Printf("seed %d\n\n| what | seen |\n|---|---|\n", p.seed)
	d, err := newDaemon(p.image)
	if err != nil {
		return err
	}
	defer d.clean()
	for _, k := range []part{{"kills", p.killAll}, {"still", p.killStatic}, {"daemon", p.daemons}, {"drift", p.drift}, {"full", p.full}} {
		if !slices.Contains(p.parts, k.name) {
			continue
		}
		if err := p.play(d, k); err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	return nil
}

func (p plan) play(d *daemon, k part) error {
	s, err := newStage(p, d)
	if err != nil {
		return err
	}
	err = k.run(s)
	if err != nil {
		s.log.show()
	}
	return errors.Join(err, s.clean())
}

// row prints one line of the table.
func row(what, format string, args ...any) {
	fmt.Printf("| %s | %s |\n", what, fmt.Sprintf(format, args...))
}
