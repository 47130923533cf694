package sftpfs

import "syscall"

// blockOnDisk is what files are rounded up to.
const blockOnDisk = 4096

// grow asks for the room that n bytes at off will take, before they are written. A file without holes takes what it
// grows by; where there may be a hole, all that is written may be new. That is more than is taken by who writes
// over the same place again, until the home is next counted.
func (s *session) grow(h *handle, off int64, n int) error {
	if h.mount == nil || h.dir || n == 0 {
		return nil
	}
	if err := h.measure(); err != nil {
		return err
	}
	if h.appends {
		off = h.size
	}
	end := off + int64(n)
	hole := h.sparse || rounded(off) > rounded(h.size)
	room := max(0, rounded(end)-rounded(h.size))
	if hole {
		room = rounded(int64(n))
	}
	if room > 0 {
		if err := h.mount.Grow(s.ctx, room); err != nil {
			return s.tell(err)
		}
	}
	h.size, h.sparse = max(h.size, end), hole
	return nil
}

// measure sees, before the first write, how big the file is and whether it has holes.
func (h *handle) measure() error {
	if h.size >= 0 {
		return nil
	}
	fi, err := h.file.Stat()
	if err != nil {
		return err
	}
	h.size = fi.Size()
	st, ok := fi.Sys().(*syscall.Stat_t)
	h.sparse = ok && st.Blocks*512 < h.size
	return nil
}

func rounded(size int64) int64 { return (size + blockOnDisk - 1) / blockOnDisk * blockOnDisk }
