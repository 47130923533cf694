package sftpfs

import (
	"os"

	"plil.net/nuage/cloud"
)

func (s *session) open(a *args, w *reply) error {
	asked := uint32(a.numbers[0])
	flag, err := openFlag(asked)
	if err != nil {
		return err
	}
	m, in, err := s.inside(a.paths[0])
	if err != nil {
		return err
	}
	f, err := m.OpenFile(in, flag&^os.O_TRUNC, a.attrs.permOr(0o666))
	if err != nil {
		return s.full(err, m)
	}
	h := &handle{in: in, mount: m, file: f, writes: asked&flagWrite != 0, appends: asked&flagAppend != 0, size: -1,
		flag: flag &^ os.O_TRUNC, over: flag&(os.O_TRUNC|os.O_EXCL) == 0 && asked&flagCreat != 0 && asked&flagRead == 0}
	if err := s.add(h, a.id, w); err != nil {
		f.Close()
		return err
	}
	if flag&os.O_TRUNC == 0 {
		return nil
	}
	if err := s.empty(h); err != nil {
		delete(s.handles, h.key)
		h.file.Close()
		return s.full(err, m)
	}
	return nil
}

// openFlag turns the flags of a request into those of a file.
func openFlag(asked uint32) (int, error) {
	flag := os.O_RDONLY
	switch asked & (flagRead | flagWrite) {
	case 0:
		return 0, failf(cloud.Invalid, "open flags: neither read nor write")
	case flagWrite:
		flag = os.O_WRONLY
	case flagRead | flagWrite:
		flag = os.O_RDWR
	}
	if flag == os.O_RDONLY && asked&(flagAppend|flagCreat|flagTrunc) != 0 {
		return 0, failf(cloud.Invalid, "open flags: append, creat and trunc need write")
	}
	for bit, f := range map[uint32]int{flagAppend: os.O_APPEND, flagCreat: os.O_CREATE, flagTrunc: os.O_TRUNC} {
		if asked&bit != 0 {
			flag |= f
		}
	}
	if asked&flagCreat != 0 && asked&flagExcl != 0 {
		flag |= os.O_EXCL
	}
	return flag, nil
}
