package provision

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// onThread runs fn on a thread that ends with it: whatever fn makes of the thread, nobody else runs there after. The
// process's first thread cannot end without it, so that one is not taken.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			done <- onThread(fn) // on another one: this is locked until then
			runtime.UnlockOSThread()
			return
		}
		done <- fn()
	}()
	return <-done
}

// become gives the thread a uid, its gid and no other groups, for good; the capabilities go with uid 0. The functions of
// syscall would change all threads, and abort the process while one like this cannot follow: nothing here may use them.
func become(uid int) error {
	id := uintptr(uid)
	for _, call := range []struct {
		name    string
		number  uintptr
		a, b, c uintptr
	}{
		{"setgroups", unix.SYS_SETGROUPS, 0, 0, 0},
		{"setresgid", unix.SYS_SETRESGID, id, id, id},
		{"setresuid", unix.SYS_SETRESUID, id, id, id},
	} {
		if _, _, errno := unix.RawSyscall(call.number, call.a, call.b, call.c); errno != 0 {
			return os.NewSyscallError(call.name, errno)
		}
	}
	return nil
}
