package main

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"plil.net/nuage/cloud"
)

// pressed reports whether the host has less memory left than spare, in bytes, for programs that are to start. Where the
// kernel does not tell, it never is.
func pressed(spare int64) func() bool {
	return func() bool {
		text, err := os.ReadFile("/proc/meminfo")
		left := memory(text, "MemAvailable")
		return err == nil && left > 0 && left < spare
	}
}

// hostUse looks at memory, and at the disk that a directory is on.
func hostUse(dir string) func() cloud.HostUse {
	return func() (u cloud.HostUse) {
		text, _ := os.ReadFile("/proc/meminfo")
		u.Memory, u.Spare = memory(text, "MemTotal"), memory(text, "MemAvailable")
		var s unix.Statfs_t
		if unix.Statfs(dir, &s) == nil {
			u.Disk, u.DiskFree = int64(s.Blocks)*s.Frsize, int64(s.Bavail)*s.Frsize
		}
		return u
	}
}

// memory reads the bytes of a line of /proc/meminfo; 0 if it is not there.
func memory(meminfo []byte, name string) int64 {
	_, rest, _ := bytes.Cut(meminfo, []byte(name+":"))
	line, _, _ := strings.Cut(string(rest), "\n")
	kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(line), " kB"), 10, 64)
	return kib << 10
}
