package home

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// identity is what the kernel looks at when it decides about files: fsuid, fsgid and the supplementary groups.
// Each thread has its own.
type identity struct {
	uid, gid int
	groups   []int
}

// process is the identity of this process. It is read once: the process must not change it later.
func process() (identity, error) {
	groups, err := unix.Getgroups()
	return identity{uid: os.Geteuid(), gid: os.Getegid(), groups: groups}, err
}

func (i identity) root() bool { return i.uid == 0 }

// take makes the thread act as i. Leaving uid 0 for another takes the capabilities over files from the thread,
// coming back gives them again, so the uid changes last on the way out and first on the way back; either way
// the capabilities needed to change are kept.
func (i identity) take(groups bool) error {
	if groups {
		if err := unix.Setgroups(i.groups); err != nil {
			return fmt.Errorf("taking groups %v: %v", i.groups, err)
		}
	}
	// setfsuid and setfsgid tell no failure: only asking again does. -1 is no id, and so asks.
	unix.SetfsgidRetGid(i.gid)
	unix.SetfsuidRetUid(i.uid)
	if gid, _ := unix.SetfsgidRetGid(-1); gid != i.gid {
		return fmt.Errorf("taking gid %d: still %d", i.gid, gid)
	}
	if uid, _ := unix.SetfsuidRetUid(-1); uid != i.uid {
		return fmt.Errorf("taking uid %d: still %d", i.uid, uid)
	}
	return nil
}

// switched runs functions as a site. The zero value runs them as the process.
type switched struct {
	to, back identity
	on       bool
}

// do runs fn on a thread that acts as the site. If the thread cannot be brought back, its goroutine stays
// locked to it, so that nobody else's work ever runs there; the thread ends with the goroutine.
func (s switched) do(fn func() error) (err error) {
	if !s.on {
		return fn()
	}
	runtime.LockOSThread()
	groups := len(s.back.groups) > 0
	defer func() {
		if back := s.back.take(groups); back != nil {
			err = back
			return
		}
		runtime.UnlockOSThread()
	}()
	if err := s.to.take(groups); err != nil {
		return err
	}
	return fn()
}
