package main

import "testing"

func TestMemory(t *testing.T) {
	t.Parallel()
	text := []byte("MemTotal:       24684092 kB\nMemFree:  1 kB\nMemAvailable:   23440000 kB\n")
	for name, want := range map[string]int64{"MemTotal": 24684092 << 10, "MemAvailable": 23440000 << 10, "Nothing": 0} {
		if got := memory(text, name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	if u := hostUse(t.TempDir())(); u.Memory == 0 || u.Spare > u.Memory || u.Disk == 0 || u.DiskFree > u.Disk {
		t.Errorf("host %+v", u)
	}
	if pressed(1)() || !pressed(1<<60)() {
		t.Error("pressed by nothing, or not by all")
	}
}
