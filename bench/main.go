// Command bench measures the gateway beside its peers, on this machine, in one run: the two sides of a row take
// turns, so that a machine that drifts drifts for both. It prints the table of docs/benchmarks.md. It is no test:
// a figure that misses its goal is printed like the others.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// row is one line of the table.
type row struct {
	name string
	ours,
	peer sample
	peerName string
	unit     string // of a figure that is no time
	goal     float64
	absolute bool // the goal is for ours, not for ours ÷ peer
	more     bool // the goal is the least: more is better
}

// sample is a figure measured several times: seconds, or the row's unit.
type sample []float64

func (s sample) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[len(sorted)/2]
}

func (s sample) String() string {
	if len(s) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3g (%.3g–%.3g)", s.median(), slices.Min(s), slices.Max(s))
}

func (r row) figure() float64 {
	if r.absolute {
		return r.ours.median()
	}
	return r.ours.median() / r.peer.median()
}

func (r row) print() {
	unit, goal, figure := cmp.Or(r.unit, "s"), fmt.Sprintf("≤ %g ×", r.goal), fmt.Sprintf("%.2f ×", r.figure())
	if r.absolute {
		unit, goal, figure = r.unit, fmt.Sprintf("≤ %g %s", r.goal, r.unit), fmt.Sprintf("%.3g %s", r.figure(), r.unit)
	}
	verdict := "met"
	if r.more {
		goal = strings.Replace(goal, "≤", "≥", 1)
	}
	if r.more == (r.figure() < r.goal) && r.figure() != r.goal {
		verdict = "**missed**"
	}
	fmt.Printf("| %s | %s %s | %s | %s | %s | %s | %s |\n", r.name, r.ours, unit, r.peerName, r.peer, figure, goal, verdict)
}

// measures are the parts of a run, in their order.
var measures = []struct {
	name string
	rows func(*stage) ([]row, error)
}{
	{"whoami", (*stage).whoami},
	{"fifty", (*stage).fifty},
	{"create", (*stage).create},
	{"awake", (*stage).awake},
	{"sftp", (*stage).transfer},
	{"tree", (*stage).tree},
	{"rsync", (*stage).rsync},
	{"eight", (*stage).eight},
	{"idle", (*stage).idle},
	{"door", (*stage).door},
	{"shut", (*stage).shut},
	{"webfiles", (*stage).webFiles},
	{"webcontainer", (*stage).webContainer},
	{"webnames", (*stage).webNames},
	{"nginxnames", (*stage).nginxNames},
}

func main() {
	var names []string
	for _, m := range measures {
		names = append(names, m.name)
	}
	rows := flag.String("rows", strings.Join(names, ","), "what to measure")
	quick := flag.Bool("quick", false, "fewer runs, smaller files: to try the bench itself")
	flag.Parse()
	wanted := strings.FieldsFunc(*rows, func(r rune) bool { return r == ',' || r == ' ' })
	for _, w := range wanted {
		if !slices.Contains(names, w) {
			fmt.Fprintf(os.Stderr, "bench: there is no row %q\nhint: the rows are %s\n", w, strings.Join(names, ", "))
			os.Exit(2)
		}
	}
	if err := run(wanted, *quick); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(wanted []string, quick bool) error {
	on, err := newStage(quick)
	if err != nil {
		return err
	}
	var once sync.Once
	end := func() { once.Do(on.close) }
	defer end()
	go func() { // nothing stays behind of a bench that is stopped
		stopped := make(chan os.Signal, 1)
		signal.Notify(stopped, os.Interrupt, syscall.SIGTERM)
		<-stopped
		end()
		os.Exit(1)
	}()
	fmt.Printf("%s, %d cores, %s, %s, %s\n\n", runtime.GOOS+"/"+runtime.GOARCH, runtime.NumCPU(), runtime.Version(),
		output("ssh", "-V"), "engine "+on.engine)
	fmt.Println("| what | ours: median (min–max) | peer | its median (min–max) | figure | goal | |")
	fmt.Println("|---|---|---|---|--:|--:|---|")
	for _, m := range measures {
		if !slices.Contains(wanted, m.name) {
			continue
		}
		late := time.AfterFunc(longest, func() {
			fmt.Fprintf(os.Stderr, "bench: %s takes longer than %s\n", m.name, longest)
			end()
			os.Exit(1)
		})
		rows, err := m.rows(on)
		late.Stop()
		for _, r := range rows {
			r.print()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

// longest is what one part may take: the building of Caddy is in it, the first time.
const longest = 25 * time.Minute

// timed is how long fn takes, in seconds.
func timed(fn func() error) (float64, error) {
	start := time.Now()
	err := fn()
	return time.Since(start).Seconds(), err
}

// turns lets two sides take turns n times, after one turn each that does not count.
func turns(n int, ours, peer func() error) (a, b sample, err error) {
	for i := range n + 1 {
		for _, side := range []struct {
			fn   func() error
			into *sample
		}{{ours, &a}, {peer, &b}} {
			seconds, err := timed(side.fn)
			if err != nil {
				return a, b, err
			}
			if i > 0 {
				*side.into = append(*side.into, seconds)
			}
		}
	}
	return a, b, nil
}

func output(name string, args ...string) string {
	out, _ := exec.Command(name, args...).CombinedOutput()
	return strings.TrimSpace(string(out))
}
