package sftpfs

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"syscall"
)

// Packets, flags and statuses of draft-ietf-secsh-filexfer-02.
const (
	typeInit, typeVersion                                                      = 1, 2
	typeOpen, typeClose, typeRead, typeWrite, typeLstat, typeFstat             = 3, 4, 5, 6, 7, 8
	typeSetstat, typeFsetstat, typeOpendir, typeReaddir, typeRemove, typeMkdir = 9, 10, 11, 12, 13, 14
	typeRmdir, typeRealpath, typeStat, typeRename, typeReadlink, typeSymlink   = 15, 16, 17, 18, 19, 20
	typeStatus, typeHandle, typeData, typeName, typeAttrs                      = 101, 102, 103, 104, 105
	typeExtended, typeExtendedReply                                            = 200, 201

	flagRead, flagWrite, flagAppend, flagCreat, flagTrunc, flagExcl = 1, 2, 4, 8, 16, 32

	attrSize, attrOwner, attrMode, attrTimes, attrExtended = 1, 2, 4, 8, 1 << 31

	statusOK, statusEOF, statusBadMessage, statusUnsupported = 0, 1, 5, 8
)

// Limits of OpenSSH's server (SFTP_MAX_MSG_LENGTH and SFTP_MAX_READ_LENGTH in sftp-common.h and sftp-server.c).
const (
	maxPacket   = 256 << 10
	maxTransfer = maxPacket - 1024 // of a read or a write
)

// readPacket reads a packet without its length into buf, which may grow. io.EOF is only the end between packets.
func readPacket(from *bufio.Reader, buf []byte) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return buf, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size == 0 || size > maxPacket {
		return buf, fmt.Errorf("a packet of %d bytes: the limit is %d", size, maxPacket)
	}
	buf = slices.Grow(buf[:0], int(size))[:size]
	_, err := io.ReadFull(from, buf)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return buf, err
}

// reader takes fields off a packet until it is short; then all fields are zero.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.short = nil, true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) uint32() uint32 {
	b := r.take(4)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func (r *reader) uint64() uint64 {
	b := r.take(8)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// bytes are valid until the next packet.
func (r *reader) bytes() []byte { return r.take(uint64(r.uint32())) }

func (r *reader) attrs() (a attrs) {
	a.flags = r.uint32()
	if a.flags&attrSize != 0 {
		a.size = r.uint64()
	}
	if a.flags&attrOwner != 0 {
		a.uid, a.gid = r.uint32(), r.uint32()
	}
	if a.flags&attrMode != 0 {
		a.mode = fs.FileMode(r.uint32()) & fs.ModePerm
	}
	if a.flags&attrTimes != 0 {
		a.atime, a.mtime = r.uint32(), r.uint32()
	}
	if a.flags&attrExtended != 0 {
		for n := r.uint32(); n > 0 && !r.short; n-- {
			r.bytes()
			r.bytes()
		}
	}
	return a
}

// reply builds one packet to the client. Its memory is used again for the next.
type reply struct {
	b []byte
}

// begin drops what there was. id is that of the request.
func (w *reply) begin(typ byte, id uint32) {
	w.b = append(w.b[:0], 0, 0, 0, 0, typ)
	w.uint32(id)
}

// packet is the reply with its length, ready to send.
func (w *reply) packet() []byte {
	binary.BigEndian.PutUint32(w.b, uint32(len(w.b)-4))
	return w.b
}

func (w *reply) uint32(n uint32) { w.b = binary.BigEndian.AppendUint32(w.b, n) }
func (w *reply) uint64(n uint64) { w.b = binary.BigEndian.AppendUint64(w.b, n) }

func (w *reply) string(s string) {
	w.uint32(uint32(len(s)))
	w.b = append(w.b, s...)
}

// fill appends up to n bytes that read puts there, with their length.
func (w *reply) fill(n int, read func([]byte) (int, error)) error {
	at := len(w.b) + 4
	w.b = slices.Grow(w.b, 4+n)[:at]
	n, err := read(w.b[at : at+n])
	binary.BigEndian.PutUint32(w.b[at-4:], uint32(n))
	w.b = w.b[:at+n]
	return err
}

func (w *reply) attrs(fi fs.FileInfo) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok { // above all homes
		w.uint32(attrSize | attrMode)
		w.uint64(0)
		w.uint32(syscall.S_IFDIR | uint32(fi.Mode().Perm()))
		return
	}
	w.uint32(attrSize | attrOwner | attrMode | attrTimes)
	w.uint64(uint64(st.Size))
	w.uint32(st.Uid)
	w.uint32(st.Gid)
	w.uint32(st.Mode)
	w.uint32(uint32(st.Atim.Sec))
	w.uint32(uint32(st.Mtim.Sec))
}

// name is a reply of one name without attributes.
func (w *reply) name(id uint32, name string) {
	w.begin(typeName, id)
	w.uint32(1)
	w.string(name)
	w.string(name)
	w.uint32(0)
}
