package cloud

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"
)

// Homes makes, opens and removes the homes of sites.
type Homes interface {
	// Path is the home on the host, for the engine to mount.
	Path(site Site) string
	// Make makes the home, owned by the site's uid, with its document root and, if that is empty, the
	// welcome page. Idempotent.
	Make(ctx context.Context, site Site, welcome []byte) error
	// Open opens the home. The caller closes it.
	Open(site Site) (Home, error)
	// Inspect opens the home as the gateway itself, which may read what the site has shut to itself. For backups.
	Inspect(site Site) (Home, error)
	// Quotas names the file system of the homes if it can hold each of them to a limit by itself, else "".
	Quotas() string
	// Limit has the file system hold the home to so many bytes, and to as many files as take 4 KiB each, whoever writes; 0 is no
	// limit. held is false where it cannot, or where there is no home: then it is up to who counts. Idempotent.
	Limit(site Site, bytes int64) (held bool, err error)
	// Remove removes the home with all that is in it, and its limit, and follows no link while it does. Idempotent.
	Remove(ctx context.Context, site Site) error
}

// ErrRestless is in the chain of the error of a home whose directories are moved faster than what is in them is counted.
var ErrRestless = errors.New("restless")

// Home is one site's directory, jailed by the kernel. Names are slash-separated and as the container sees
// them: "/home/site/www/index.php". Links resolve as they do in the container, but only inside the home: what
// lies outside does not exist. All is done with the site's uid, so that the kernel itself refuses what the
// site may not do. Errors are those of the os package, without a path of the host in a *fs.PathError.
// Verbs may be called concurrently.
type Home interface {
	// OpenFile is os.OpenFile. Anything but a regular file or a directory is refused with fs.ErrPermission
	// without waiting for it. Modes are cut to the nine permission bits.
	OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error)
	// Beside opens a new file, nowhere yet, for what is to become of the file that old is, which was opened by that name
	// with flag. errors.ErrUnsupported where one cannot stand for the other: the old file has other names, attributes or another
	// owner that the new one would lack, or the file system has no files without a name. It keeps old open.
	Beside(old *os.File, name string, flag int) (Replacement, error)
	Stat(name string) (fs.FileInfo, error)
	Lstat(name string) (fs.FileInfo, error)
	// ReadDir calls fn for each entry, as Lstat would tell it, in no order, until fn fails. It holds few at once: a site
	// may have no limit, and more of them than fit in memory.
	ReadDir(name string, fn func(fs.FileInfo) error) error
	Mkdir(name string, mode fs.FileMode) error
	// Remove removes a file, a link or an empty directory.
	Remove(name string) error
	// Rename moves a file. Without replace it fails with fs.ErrExist where newname is taken.
	Rename(oldname, newname string, replace bool) error
	Symlink(target, name string) error
	Link(oldname, newname string) error
	Readlink(name string) (string, error)
	// RealPath resolves all links; what is missing at the end stays as it is given.
	RealPath(name string) (string, error)
	Chmod(name string, mode fs.FileMode) error
	// Chtimes follows links. A zero time stays as it is.
	Chtimes(name string, atime, mtime time.Time) error
	// Lchtimes is Chtimes of a link itself.
	Lchtimes(name string, atime, mtime time.Time) error
	Truncate(name string, size int64) error
	// Free says how many bytes the home's file system has, and how many are free for the site.
	Free() (total, free int64, err error)
	// Used says how many bytes the home takes on disk, where each name counts for at least a block of 4 KiB: empty files
	// take inodes. It may be some seconds old. Counting ends with ctx. A file system that holds the limit is asked instead: blocks, or
	// 4 KiB for each inode if that is more.
	Used(ctx context.Context) (int64, error)
	// Claim counts n bytes that are about to be written as used, unless there would be more than limit then: ok is
	// false, and used is up to date as far as that can be had cheaply. A file system that holds the limit may refuse the write all the
	// same, with EDQUOT.
	Claim(ctx context.Context, n, limit int64) (used int64, ok bool, err error)
	Close() error
}

// Replacement is a file that is written beside the one it is for.
type Replacement interface {
	// File is the new file until it is settled, and then the one that has its content under the old name.
	File() *os.File
	// Keep copies the rest of the old file, from an offset on, to the same place of the new one.
	Keep(from int64) error
	// Settle gives the new file the name and the mode of the old one, in one step. Where the old one has got another name
	// meanwhile, its content is replaced there instead. Idempotent; the file stays open.
	Settle() error
	// Close closes all but File. What is not settled is gone with it.
	Close() error
}
