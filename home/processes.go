package home

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// held counts the files of a disk that have no name, and that programs hold open or have mapped: a site could
// write to one on and on, where counting its home would not find it. Each is counted once, and none that was seen before.
// It takes root to look into the programs of others; what cannot be looked into is passed over.
func held(ctx context.Context, pids []string, disk uint64, seen map[inode]bool) (bytes int64) {
	looked := map[string]bool{}
	for _, pid := range pids {
		if ctx.Err() != nil {
			return bytes
		}
		mapped := false
		for _, thread := range numbers("/proc/" + pid + "/task") { // each may have open files of its own
			bytes += heldOpen("/proc/"+thread+"/fd", disk, seen)
			if !mapped { // memory is the same, but the first one may have ended
				var n int64
				n, mapped = heldMapped("/proc/"+thread, disk, seen, looked)
				bytes += n
			}
		}
	}
	return bytes
}

// programs are the programs that run, by their uid: one look at /proc for all homes, good for a moment. A program that has just
// begun is found by the next look. The zero value is ready.
type programs struct {
	mu    sync.Mutex
	pids  map[int][]string
	until time.Time
}

const lookedFor = time.Second

// of lists the programs with a uid. The directory itself shows it also where a program shuts off what is in there
// (prctl(2), PR_SET_DUMPABLE).
func (p *programs) of(uid int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.After(p.until) {
		p.pids, p.until = map[int][]string{}, now.Add(lookedFor)
		for _, pid := range numbers("/proc") {
			var st unix.Stat_t
			if unix.Stat("/proc/"+pid, &st) == nil {
				p.pids[int(st.Uid)] = append(p.pids[int(st.Uid)], pid)
			}
		}
	}
	return p.pids[uid]
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

// heldOpen counts in one directory of links to open files.
func heldOpen(dir string, disk uint64, seen map[inode]bool) (bytes int64) {
	d, err := os.Open(dir)
	if err != nil {
		return 0
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(batch)
		for _, name := range names {
			if link := dir + "/" + name; removed(link) {
				n, _ := nameless(link, disk, seen)
				bytes += n
			}
		}
		if err != nil {
			return bytes
		}
	}
}

// heldMapped counts in the memory of a thread. any tells that it has some. The lines of maps say at once what map_files says in a
// link for each, of which a program with many libraries has hundreds. A program may map one file 65,000 times: looked has those that
// were looked at, as maps names them.
func heldMapped(thread string, disk uint64, seen map[inode]bool, looked map[string]bool) (size int64, any bool) {
	f, err := os.Open(thread + "/maps")
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		any = true
		line := lines.Bytes()
		if !bytes.HasSuffix(line, []byte(deleted)) {
			continue
		}
		f := bytes.SplitN(line, []byte(" "), 6) // addresses, rights, offset, disk, inode, name
		if file := string(f[3]) + " " + string(f[4]); !looked[file] {
			n, there := nameless(thread+"/map_files/"+mapFile(string(f[0])), disk, seen)
			size, looked[file] = size+n, there // one that was unmapped meanwhile may be mapped elsewhere too
		}
	}
	return size, any
}

// mapFile is the name in map_files of what a line of maps begins with: there the addresses have no zeros before them.
func mapFile(addresses string) string {
	from, to, _ := strings.Cut(addresses, "-")
	return strings.TrimLeft(from, "0") + "-" + strings.TrimLeft(to, "0")
}

// deleted is what the kernel adds to the name of a file that has none any more. A file may have a name that ends so.
const deleted = " (deleted)"

// removed tells whether a link says that the file it leads to has no name. Those that have one are not looked at: they may be on a
// disk that hangs.
func removed(link string) bool {
	target, err := os.Readlink(link)
	return err == nil && strings.HasSuffix(target, deleted)
}

// nameless is what a file takes that one of these links leads to, if it has no name. there tells whether the link is.
func nameless(link string, disk uint64, seen map[inode]bool) (size int64, there bool) {
	var st unix.Stat_t
	if unix.Stat(link, &st) != nil {
		return 0, false
	}
	file := inode{st.Dev, st.Ino}
	if st.Dev != disk || st.Nlink != 0 || st.Mode&unix.S_IFMT != unix.S_IFREG || seen[file] {
		return 0, true
	}
	seen[file] = true
	return max(least, st.Blocks*512), true
}
