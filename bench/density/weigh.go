package main

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kinds are the programs that sites and their engine are made of.
var kinds = []string{"apache2", "dash", "sleep", "docker-init", "containerd-shim-runc-v2", "fuse-overlayfs", "dockerd", "containerd", "nuage"}

// weight is memory in KiB at one moment.
type weight struct {
	used      int64            // what the machine cannot give to others: MemTotal less MemAvailable
	kernel    int64            // slab, stacks, page tables, per-CPU data
	clean     int64            // of kernel, what it gives back when somebody needs it
	programs  map[string]int64 // proportional set size of each kind
	anonymous map[string]int64 // of that, what no file backs: it cannot be shared nor dropped
	number    map[string]int64
}

// weigh runs sites, a few and then all, leaves them alone until they are at rest, and sees what the machine has less for each.
func (p plan) weigh(s *stage) error {
	if err := p.prepare(s); err != nil {
		return err
	}
	if err := s.rest(p.rest); err != nil {
		return err
	}
	zero := weighAll()
	last, have := zero, 0
	var marginal float64
	for _, n := range steps(p.running) {
		if err := s.run(n); err != nil {
			return err
		}
		if err := s.rest(p.rest); err != nil {
			return err
		}
		now := weighAll()
		marginal = per(now.used-last.used, n-have)
		row(fmt.Sprintf("memory of one running idle site, from %d to %d, by what the machine has less", have, n), fmt.Sprintf("%.1f MiB", marginal), "≤ 10 MiB", marginal <= 10)
		sum := per(now.sum()-last.sum(), n-have)
		row(fmt.Sprintf("the same, all programs and the kernel's own added up, from %d to %d", have, n), fmt.Sprintf("%.1f MiB", sum), "≤ 10 MiB", sum <= 10)
		last, have = now, n
	}
	last.table(zero, have)
	capacity(zero.used, per(last.used-zero.used, have), p.sites)
	return nil
}

// steps are how many sites run when they are weighed.
func steps(running int) (all []int) {
	for _, n := range []int{20, 40} {
		if n < running {
			all = append(all, n)
		}
	}
	return append(all, running)
}

func per(kib int64, n int) float64 { return float64(kib) / 1024 / float64(max(n, 1)) }

// sum is all that is not a file's: programs and kernel, with the pages of files by their share.
func (w weight) sum() int64 {
	total := w.kernel
	for _, pss := range w.programs {
		total += pss
	}
	return total
}

// table shows where the memory of a site goes.
func (w weight) table(zero weight, sites int) {
	fmt.Printf("\n| where it goes, a site of %d | processes | MiB | of it, not a file's |\n|---|--:|--:|--:|\n", sites)
	for _, kind := range slices.SortedFunc(maps.Keys(w.programs), func(a, b string) int {
		return int((w.programs[b] - zero.programs[b]) - (w.programs[a] - zero.programs[a]))
	}) {
		fmt.Printf("| %s | %.1f | %.2f | %.2f |\n", kind, float64(w.number[kind]-zero.number[kind])/float64(sites),
			per(w.programs[kind]-zero.programs[kind], sites), per(w.anonymous[kind]-zero.anonymous[kind], sites))
	}
	fmt.Printf("| kernel: slab, stacks, page tables | | %.2f | %.2f |\n\n", per(w.kernel-zero.kernel, sites), per(w.kernel-w.clean-zero.kernel+zero.clean, sites))
}

// capacity compares with what the school's first system held.
func capacity(base int64, marginal float64, registered int) {
	if marginal <= 0 { // other programs gave back more than the sites took
		fmt.Printf("This machine is not quiet: nothing can be computed from %.1f MiB a site.\n", marginal)
		marginal = math.Inf(1)
	}
	fmt.Printf("| memory | containers of the old system | ours running at once | registered |\n|--:|--:|--:|--:|\n")
	for _, old := range []struct{ mb, held int }{{256, 30}, {512, 180}, {2048, 600}} {
		fits := max(0, int((float64(old.mb)-float64(base)/1024)/marginal))
		fmt.Printf("| %d MB | %d | %d | %d |\n", old.mb, old.held, min(fits, registered), registered)
	}
	fmt.Printf("\nComputed from what the machine uses without a running site, %s, and %.1f MiB for each that runs.\n\n| what | measured | goal | |\n|---|--:|--:|---|\n", mib(base), marginal)
}

// rest leaves the sites alone.
func (s *stage) rest(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// weighAll looks at all programs. One that ends meanwhile is left out.
func weighAll() weight {
	const meminfo = "/proc/meminfo"
	w := weight{used: kib(meminfo, "MemTotal") - kib(meminfo, "MemAvailable"), clean: kib(meminfo, "SReclaimable"),
		programs: map[string]int64{}, anonymous: map[string]int64{}, number: map[string]int64{}}
	for _, line := range []string{"Slab", "KernelStack", "PageTables", "Percpu"} {
		w.kernel += kib(meminfo, line)
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range processes {
		path, err := os.Readlink(dir + "/exe")
		if err != nil {
			continue
		}
		kind := strings.TrimSuffix(filepath.Base(path), " (deleted)")
		if _, err := strconv.Atoi(filepath.Base(dir)); err != nil || !slices.Contains(kinds, kind) {
			continue
		}
		w.number[kind]++
		w.programs[kind] += kib(dir+"/smaps_rollup", "Pss")
		w.anonymous[kind] += kib(dir+"/smaps_rollup", "Pss_Anon") + kib(dir+"/smaps_rollup", "Pss_Shmem")
	}
	return w
}
