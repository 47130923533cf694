package gateway

import (
	"bufio"
	"io"
	"slices"
	"strings"

	"plil.net/nuage/cloud"
)

// gitPaths: git-upload-pack [--strict] [--timeout=N] 'PATH' (connect.c of git)
func gitPaths(words []word) (paths []int, ok bool) {
	for i, w := range words[1:] {
		if !strings.HasPrefix(w.value, "-") {
			paths = append(paths, i+1)
		}
	}
	return paths, true
}

// scpPaths: scp [-r] [-p] [-d] [-v] -t|-f [--] PATH... (scp.c of OpenSSH; PuTTY joins the letters)
func scpPaths(words []word) (paths []int, ok bool) {
	at := 1
	for ; at < len(words) && strings.HasPrefix(words[at].value, "-"); at++ {
		if words[at].value == "--" {
			at++
			break
		}
		ok = ok || strings.ContainsAny(words[at].value, "tf")
	}
	return from(at, words), ok
}

// rsyncPathOptions have a path as the next word. One that begins with a slash names a site too.
var rsyncPathOptions = []string{
	"--backup-dir", "--compare-dest", "--copy-dest", "--files-from", "--link-dest", "--partial-dir", "--temp-dir",
}

// rsyncPaths: rsync --server [OPTION...] . PATH... (options.c of rsync)
func rsyncPaths(words []word) (paths []int, ok bool) {
	if len(words) < 2 || words[1].value != "--server" {
		return nil, false
	}
	for i := 2; i < len(words); i++ {
		switch {
		case slices.Contains(rsyncPathOptions, words[i].value):
			if i++; i < len(words) && strings.HasPrefix(words[i].value, "/") {
				paths = append(paths, i)
			}
		case isDot(words[i]):
			return append(paths, from(i+1, words)...), true
		}
	}
	return paths, true
}

// fetchesWhole reports whether a path without more than a site is one that the client refuses to get as ".": it knows
// the site's name only.
func fetchesWhole(words []word, path string) bool {
	has := func(option string) bool {
		return slices.ContainsFunc(words, func(w word) bool { return w.value == option })
	}
	switch words[0].value {
	case "rsync":
		return has("--sender") && !strings.HasSuffix(path, "/")
	case "scp":
		return has("-f")
	}
	return false
}

func isDot(w word) bool { return w.value == "." }

func from(at int, words []word) (indexes []int) {
	for ; at < len(words); at++ {
		indexes = append(indexes, at)
	}
	return indexes
}

// readLate reads the arguments that rsync -s sends on stdin: each ends with a zero byte, and the last is empty
// (send_protected_args in rsync.c). It returns stdin as rsync in the container shall find it.
func (c *copying) readLate(stdin io.Reader, full func(string) string) (io.Reader, error) {
	in := bufio.NewReaderSize(stdin, maxCommand)
	words, err := cut(c.line)
	if err != nil {
		return nil, err
	}
	given := len(words)
	for size := 0; ; {
		argument, err := in.ReadSlice(0) // or ErrBufferFull
		if size += len(argument); err != nil || size > maxCommand {
			return nil, cloud.Errorf(cloud.Invalid, "no arguments of rsync -s within %d bytes of input", maxCommand).Because(err)
		}
		if len(argument) == 1 {
			break
		}
		words = append(words, word{value: string(argument[:len(argument)-1])})
	}
	paths, _ := rsyncPaths(words)
	raw, err := c.rewrite(words, paths, full)
	if err != nil {
		return nil, err
	}
	return io.MultiReader(strings.NewReader(strings.Join(raw[given:], "\x00")+"\x00\x00"), in), nil
}
