package home

import (
	"context"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// held counts the files of a disk that have no name, and that programs with a uid hold open or have mapped: a site could
// write to one on and on, where counting its home would not find it. Each is counted once, and none that was seen before.
// It takes root to look into the programs of others; what cannot be looked into is passed over.
func held(ctx context.Context, uid int, disk uint64, seen map[inode]bool) (bytes int64) {
	for _, pid := range numbers("/proc") {
		if ctx.Err() != nil {
			return bytes
		}
		if !runsAs(pid, uid) {
			continue
		}
		mapped := false
		for _, thread := range numbers("/proc/" + pid + "/task") { // each may have open files of its own
			n, _ := heldIn("/proc/"+thread+"/fd", disk, seen)
			bytes += n
			if !mapped { // memory is the same, but the first one may have ended
				n, mapped = heldIn("/proc/"+thread+"/map_files", disk, seen)
				bytes += n
			}
		}
	}
	return bytes
}

// numbers lists the numbers in a directory.
func numbers(dir string) []string {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	return slices.DeleteFunc(names, func(name string) bool { return name[0] < '0' || name[0] > '9' })
}

// runsAs tells whether a program has a uid. The directory itself shows it also where the program shuts off what is in there
// (prctl(2), PR_SET_DUMPABLE).
func runsAs(pid string, uid int) bool {
	var st unix.Stat_t
	return unix.Stat("/proc/"+pid, &st) == nil && int(st.Uid) == uid
}

// heldIn counts in one directory of links to files. any tells that there is one at all.
func heldIn(dir string, disk uint64, seen map[inode]bool) (bytes int64, any bool) {
	d, err := os.Open(dir)
	if err != nil {
		return 0, false
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(batch)
		for _, name := range names {
			any = true
			bytes += nameless(dir+"/"+name, disk, seen)
		}
		if err != nil {
			return bytes, any
		}
	}
}

// nameless is what a file takes that one of these links leads to, if it has no name. Those that have are not looked at: they may be
// on a disk that hangs.
func nameless(link string, disk uint64, seen map[inode]bool) int64 {
	target, err := os.Readlink(link)
	if err != nil || !strings.HasSuffix(target, " (deleted)") {
		return 0
	}
	var st unix.Stat_t
	if unix.Stat(link, &st) != nil || st.Dev != disk || st.Nlink != 0 || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return 0
	}
	file := inode{st.Dev, st.Ino}
	if seen[file] {
		return 0
	}
	seen[file] = true
	return max(least, st.Blocks*512)
}
