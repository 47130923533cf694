package home

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"plil.net/nuage/cloud"
)

// A file system with quotas by uid keeps the limits itself: whoever writes is held to them at once, and what a home takes is
// known without counting. Who has CAP_SYS_RESOURCE goes beyond them, but not on XFS.

// quota is what the kernel knows of one user (struct if_dqblk). Limits are 0 where there is none; nuage sets no soft ones.
type quota struct {
	Blocks, SoftBlocks uint64 // KiB
	Bytes              uint64 // in use
	Inodes, SoftInodes uint64
	Files              uint64 // inodes in use
	Grace, InodeGrace  uint64
	Valid              uint32 // what of it is to be set
	_                  uint32
}

// From <linux/quota.h> and <linux/dqblk_xfs.h>. The lowest byte says that a call is about users.
const (
	getQuota  = 0x800007 << 8
	setQuota  = 0x800008 << 8
	getState  = 0x5805 << 8 // Q_XGETQSTAT: once XFS's own, answered for all today
	limits    = 1 | 4       // QIF_BLIMITS | QIF_ILIMITS
	countHold = 1 | 2       // FS_QUOTA_UDQ_ACCT | FS_QUOTA_UDQ_ENFD: ext4 counts also where it is not mounted to hold
)

// limited is the quota for a home of so many bytes: as many blocks, and an inode for each 4 KiB, as files are counted elsewhere. 0 is
// no limit.
func limited(bytes int64) quota {
	if bytes <= 0 {
		return quota{}
	}
	files := uint64(max(1, bytes/least))
	return quota{Blocks: files * least / 1024, Inodes: files}
}

// used comes up to a limit when either the blocks or the inodes do.
func (q quota) used() int64 { return int64(max(q.Bytes, q.Files*least)) }

// Quotas names the file system of the homes if it keeps the limits of sites, else "".
func (d *Disk) Quotas() string {
	dir, err := openJail(d.dir)
	if err != nil || !d.own.root() {
		return ""
	}
	defer dir.Close()
	if _, ok := quotaOf(int(dir.Fd()), d.own.uid+1); !ok { // of anybody else, as sites are
		return ""
	}
	return fileSystem(int(dir.Fd()))
}

// Limit has the kernel hold a home to so many bytes.
func (d *Disk) Limit(site cloud.Site, bytes int64) (held bool, err error) {
	if err := check(site); err != nil {
		return false, err
	}
	h, err := d.openAs(site, switched{})
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer h.Close()
	if !h.quotas() {
		return false, nil
	}
	if closed := h.conn.Control(func(root uintptr) { held, err = hold(int(root), h.usage.uid, bytes) }); closed != nil {
		return false, closed
	}
	return held, err
}

// Unlimit takes the limit from a site's user, who may have no home: no more, or not yet.
func (d *Disk) Unlimit(site cloud.Site) error {
	if !d.own.root() || site.UID <= 0 {
		return nil
	}
	dir, err := openJail(d.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	_, err = hold(int(dir.Fd()), site.UID, 0)
	return err
}

// hold changes only what is not so already. An admin's soft limits go.
func hold(fd, uid int, bytes int64) (held bool, err error) {
	is, ok := quotaOf(fd, uid)
	if !ok {
		return false, nil
	}
	want := limited(bytes)
	if is.Blocks == want.Blocks && is.Inodes == want.Inodes && is.SoftBlocks == 0 && is.SoftInodes == 0 {
		return true, nil
	}
	want.Valid = limits
	if err := quotactl(fd, setQuota, uid, unsafe.Pointer(&want)); err != nil {
		return false, fmt.Errorf("quota of uid %d: %w", uid, err)
	}
	return true, nil
}

// quotas tells whether the home may have one: its uid is nobody else's, and all that has the uid is there.
func (h *home) quotas() bool { return h.usage.uid != 0 && !h.mounted }

// kernelUsed is what the home takes, if the kernel keeps its limit. It asks each time: quotas may be switched off.
func (h *home) kernelUsed() (used int64, ok bool) {
	if !h.quotas() {
		return 0, false
	}
	closed := h.conn.Control(func(root uintptr) {
		var q quota
		q, ok = quotaOf(int(root), h.usage.uid)
		used = q.used()
	})
	return used, ok && closed == nil
}

// reserves tells whether files that grow take room ahead, which the file system gives back before it says that there is none: then
// only it can tell what fits.
func (h *home) reserves() (yes bool) {
	_ = h.conn.Control(func(root uintptr) { yes = fileSystem(int(root)) == "xfs" })
	return yes
}

// quotaOf asks for a user on the file system of an open file. ok is false where that does not hold its users to limits, or this process
// may not set them.
func quotaOf(fd, uid int) (q quota, ok bool) {
	var state struct { // struct fs_quota_stat
		version int8
		flags   uint16
		_       [76]byte
	}
	if quotactl(fd, getState, 0, unsafe.Pointer(&state)) != nil || state.flags&countHold != countHold {
		return q, false
	}
	err := quotactl(fd, getQuota, uid, unsafe.Pointer(&q))
	return q, err == nil || err == unix.ENOENT // on XFS, of who never had anything
}

// quotactl is quotactl_fd(2); before Linux 5.14 quotactl(2), which wants the disk's name.
func quotactl(fd, command, uid int, data unsafe.Pointer) error {
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL_FD, uintptr(fd), uintptr(command), uintptr(uid), uintptr(data), 0, 0)
	if errno == unix.ENOSYS {
		errno = quotactlByName(fd, command, uid, data)
	}
	if errno != 0 {
		return errno
	}
	return nil
}

func quotactlByName(fd, command, uid int, data unsafe.Pointer) syscall.Errno {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return unix.EBADF
	}
	disk, err := unix.BytePtrFromString(fmt.Sprintf("/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		return unix.EINVAL
	}
	_, _, errno := unix.Syscall6(unix.SYS_QUOTACTL, uintptr(command), uintptr(unsafe.Pointer(disk)), uintptr(uid), uintptr(data), 0, 0)
	return errno
}

// fileSystem names those that are known to have quotas by uid.
func fileSystem(fd int) string {
	var s unix.Statfs_t
	if unix.Fstatfs(fd, &s) != nil {
		return "unknown"
	}
	switch uint32(s.Type) {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	}
	return fmt.Sprintf("%#x", uint32(s.Type))
}
