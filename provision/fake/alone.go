package fake

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const alone = "NUAGE_ALONE"

// Alone runs the tests of a package in a network of their own, and returns the exit status for TestMain. A gateway that
// listens on port 8080 of all addresses would keep that of each site, as would another run of the tests. Who is not root
// runs them on the host's network.
func Alone(m *testing.M) int {
	if os.Getenv(alone) != "" {
		if err := loopback(); err != nil {
			fmt.Fprintln(os.Stderr, "a network of their own for the tests:", err)
			return 1
		}
		return m.Run()
	}
	if os.Getuid() != 0 {
		return m.Run()
	}
	runtime.LockOSThread() // whose end would be that of the tests
	tests := exec.Command(os.Args[0], os.Args[1:]...)
	tests.Env = append(os.Environ(), alone+"=1")
	tests.Stdin, tests.Stdout, tests.Stderr = os.Stdin, os.Stdout, os.Stderr
	tests.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err := tests.Run()
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		return failed.ExitCode()
	case err != nil: // the kernel gives no network: a container, most likely
		return m.Run()
	}
	return 0
}

// loopback brings 127.0.0.1 up.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}
