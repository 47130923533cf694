package provision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"plil.net/nuage/cloud"
)

// entries bounds how many threads are inside containers at once.
const entries = 32

// inside runs fn as a process of the site would run: in the container's network, among its files, with the site's uid
// and no capability. What fn opens can be used outside. It enters through /proc, so the engine has to be on this host,
// and the gateway root there.
func (d *Docker) inside(ctx context.Context, id string, fn func() error) error {
	if os.Geteuid() != 0 {
		return cloud.Errorf(cloud.Unavailable, "this gateway does not run as root, so it cannot forward into sites").
			WithHint("for the admin: run nuage serve as root")
	}
	select {
	case d.entries <- struct{}{}:
		defer func() { <-d.entries }()
	case <-ctx.Done():
		return ctx.Err()
	}
	k, err := d.ours(ctx, id)
	if err != nil {
		return err
	}
	if k == nil || !k.State.Running {
		return notRunning()
	}
	uid, _, _ := strings.Cut(k.Config.User, ":")
	n, err := strconv.ParseUint(uid, 10, 32)
	if err != nil || n == 0 {
		return cloud.Errorf(cloud.Internal, "container with user %q", k.Config.User)
	}
	ns, err := openNamespaces(k.State.Pid, k.ID)
	if err != nil {
		return closed(err)
	}
	defer ns.close()
	return onThread(func() error {
		if err := ns.enter(); err != nil {
			return closed(err)
		}
		if err := become(int(n)); err != nil {
			return closed(err)
		}
		return fn()
	})
}

func closed(err error) error {
	return cloud.Errorf(cloud.Unavailable, "this gateway cannot enter the site's container").
		WithHint("for the admin: forwarding needs the engine on the gateway's own host, and CAP_SYS_ADMIN").Because(err)
}

// namespaces are what of a container a thread can enter: its network and its files.
type namespaces struct{ network, mount *os.File }

// errLeft is in the chain of the error of a process that has ended, which the engine may not know yet.
var errLeft = errors.New("it is not the container's, or not any more")

// openNamespaces opens those of a process, if it is one of the container's. What is opened below a directory of /proc
// belongs to the process it was opened for: a pid that somebody else gets meanwhile leads nowhere.
func openNamespaces(pid int, container string) (ns namespaces, err error) {
	defer func() {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			err = fmt.Errorf("process %d: %w: %w", pid, errLeft, err)
		}
	}()
	process, err := os.OpenRoot("/proc/" + strconv.Itoa(pid))
	if err != nil {
		return ns, err
	}
	defer process.Close()
	groups, err := process.ReadFile("cgroup")
	if err != nil {
		return ns, err
	}
	if !strings.Contains(string(groups), container) {
		return ns, fmt.Errorf("process %d: %w", pid, errLeft)
	}
	if ns.network, err = openNamespace(process, "net"); err != nil {
		return ns, err
	}
	if ns.mount, err = openNamespace(process, "mnt"); err != nil {
		ns.network.Close()
	}
	return ns, err
}

// openNamespace follows a link that leads to no path, which os.Root would not.
func openNamespace(process *os.Root, name string) (*os.File, error) {
	dir, err := process.Open("ns")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "ns/" + name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (n namespaces) close() {
	n.network.Close()
	n.mount.Close()
}

// enter brings the thread in. It first stops sharing its root and working directory with the other threads.
func (n namespaces) enter() error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Setns(int(n.network.Fd()), unix.CLONE_NEWNET); err != nil {
		return os.NewSyscallError("setns", err)
	}
	return os.NewSyscallError("setns", unix.Setns(int(n.mount.Fd()), unix.CLONE_NEWNS))
}
