package home

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"testing"
	"time"
)

func TestAboveTheHome(t *testing.T) {
	t.Parallel()
	h, _ := makeHome(t)
	for dir, entry := range map[string]string{"/": "home", "/home": "site", "/../..": "home"} {
		if names := list(t, h, dir); !slices.Equal(names, []string{entry}) {
			t.Errorf("%s: got %q", dir, names)
		}
	}
	do(t, h.Symlink("/home/evil", www+"/evil"))
	put(t, h, www+"/f", "")
	for what, err := range map[string]error{
		"mkdir":        h.Mkdir("/home/x", 0o755),
		"mkdir /":      h.Mkdir("/x", 0o755),
		"mkdir root":   h.Mkdir("/", 0o755),
		"remove":       h.Remove("/home/site"),
		"rename":       h.Rename("/home/site", "/home/other", false),
		"rename out":   h.Rename(www+"/f", "/home/f", true),
		"symlink":      h.Symlink("x", "/home/l"),
		"link":         h.Link(www+"/f", "/f"),
		"chmod":        h.Chmod("/home", 0o777),
		"chmod by ..":  h.Chmod("/home/site/..", 0o777),
		"chtimes":      h.Chtimes("/", time.Now(), time.Now()),
		"open":         second(h.OpenFile("/home/f", os.O_CREATE|os.O_WRONLY, 0o666)),
		"open by link": second(h.OpenFile(www+"/evil", os.O_CREATE|os.O_WRONLY, 0o666)),
	} {
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

func TestFree(t *testing.T) {
	t.Parallel()
	h, _ := makeHome(t)
	total, free, err := h.Free()
	if err != nil || total <= 0 || free <= 0 || free > total {
		t.Errorf("got %d, %d, %v", total, free, err)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	h, _ := makeHome(t)
	put(t, h, www+"/a", "a")
	f, err := h.OpenFile(www+"/a", os.O_RDONLY, 0)
	do(t, err)
	defer f.Close()
	do(t, h.Close())
	_, err = h.Stat("/home/site")
	want(t, err, fs.ErrClosed)
	want(t, h.Mkdir(www+"/x", 0o755), fs.ErrClosed)
	var b [1]byte
	if n, err := f.ReadAt(b[:], 0); n != 1 || err != nil {
		t.Errorf("an open file reads %d, %v", n, err)
	}
}
