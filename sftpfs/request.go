package sftpfs

import (
	"path"
	"strings"

	"plil.net/nuage/cloud"
)

// request is what the server knows of a kind of packet. A packet that lacks a field, or names a handle that the
// session does not have, never gets to act.
type request struct {
	// fields in their order: p a path, t a text as it is, h a handle, a attributes, d data, n a uint32,
	// N a uint64.
	fields string
	// act answers in w, or leaves w alone for the status of its error.
	act func(s *session, a *args, w *reply) error
}

var requests = map[byte]request{
	typeOpen:     {"pna", (*session).open},
	typeClose:    {"h", (*session).closeHandle},
	typeRead:     {"hNn", (*session).read},
	typeWrite:    {"hNd", (*session).write},
	typeLstat:    {"p", (*session).lstat},
	typeFstat:    {"h", (*session).fstat},
	typeSetstat:  {"pa", (*session).setstat},
	typeFsetstat: {"ha", (*session).fsetstat},
	typeOpendir:  {"p", (*session).openDir},
	typeReaddir:  {"h", (*session).readDir},
	typeRemove:   {"p", (*session).remove},
	typeMkdir:    {"pa", (*session).mkdir},
	typeRmdir:    {"p", (*session).rmdir},
	typeRealpath: {"t", (*session).realPath},
	typeStat:     {"p", (*session).stat},
	typeRename:   {"pp", (*session).rename},
	typeReadlink: {"p", (*session).readlink},
	// OpenSSH has its arguments the other way round than the draft, and everybody follows it (PROTOCOL,
	// section 4.1): first what the link holds.
	typeSymlink: {"tp", (*session).symlink},
}

// extensions are those of OpenSSH (its PROTOCOL, section 4), in the order in which they are announced.
var extensions = []struct {
	name, version string
	request
}{
	{"posix-rename@openssh.com", "1", request{"pp", (*session).posixRename}},
	{"statvfs@openssh.com", "2", request{"p", (*session).statVFS}},
	{"fstatvfs@openssh.com", "2", request{"h", (*session).fstatVFS}},
	{"hardlink@openssh.com", "1", request{"pp", (*session).link}},
	{"fsync@openssh.com", "1", request{"h", (*session).fsync}},
	{"lsetstat@openssh.com", "1", request{"pa", (*session).lsetstat}},
	{"limits@openssh.com", "1", request{"", (*session).limits}},
	{"expand-path@openssh.com", "1", request{"t", (*session).expandPath}},
	{"copy-data", "1", request{"hNNhN", (*session).copyData}},
	{"home-directory", "1", request{"t", (*session).homeDirectory}},
	{"users-groups-by-id@openssh.com", "1", request{"tt", (*session).namesByID}},
}

// args are the fields of one packet, those of each kind in their order.
type args struct {
	id      uint32
	paths   []string // absolute and clean
	texts   []string
	handles []*handle
	numbers []uint64
	attrs   attrs
	data    []byte // until the next packet
}

var errHandle = failf(cloud.Invalid, "no such handle is open")

func (s *session) parse(fields string, r *reader) (a *args, err error) {
	a = &s.args
	a.paths, a.texts, a.handles, a.numbers = a.paths[:0], a.texts[:0], a.handles[:0], a.numbers[:0]
	for _, f := range fields {
		switch f {
		case 'p':
			a.paths = append(a.paths, s.absolute(string(r.bytes())))
		case 't':
			a.texts = append(a.texts, string(r.bytes()))
		case 'h':
			h := s.handles[string(r.bytes())]
			if h == nil {
				err = errHandle
			}
			a.handles = append(a.handles, h)
		case 'a':
			a.attrs = r.attrs()
		case 'd':
			a.data = r.bytes()
		case 'n':
			a.numbers = append(a.numbers, uint64(r.uint32()))
		case 'N':
			a.numbers = append(a.numbers, r.uint64())
		}
	}
	if r.short {
		return nil, errShort
	}
	return a, err
}

func (s *session) absolute(name string) string {
	if !strings.HasPrefix(name, "/") {
		name = s.view.Start() + "/" + name
	}
	return path.Clean(name)
}

// answer answers one packet. An error ends the session.
func (s *session) answer(packet []byte, w *reply) error {
	r := &reader{b: packet[1:]}
	if packet[0] == typeInit {
		return s.hello(r, w)
	}
	id := r.uint32()
	switch {
	case !s.greeted:
		return errNoHello
	case r.short:
		return errNoID
	}
	if err := s.try(packet[0], id, r, w); err != nil {
		w.status(id, s.explain(err))
	}
	return nil
}

// try answers a request whose status is OK, or tells why it is not. A panic ends the request only.
func (s *session) try(typ byte, id uint32, r *reader, w *reply) (err error) {
	defer s.recover(&err)
	req, ok := requests[typ]
	if typ == typeExtended {
		req, ok = extension(string(r.bytes()))
	}
	if !ok {
		return errUnsupported
	}
	a, err := s.parse(req.fields, r)
	if err != nil {
		return err
	}
	if len(a.paths) > 0 {
		if err := s.settle(); err != nil {
			return err
		}
	}
	a.id = id
	w.status(id, statusDone)
	return req.act(s, a, w)
}

func extension(name string) (request, bool) {
	for _, e := range extensions {
		if e.name == name {
			return e.request, true
		}
	}
	return request{}, false
}

// hello answers the first packet of a client, whatever version it has: clients take the lower.
func (s *session) hello(r *reader, w *reply) error {
	if r.uint32(); r.short {
		return errNoHello
	}
	s.greeted = true
	w.begin(typeVersion, 3) // in the place of an id
	for _, e := range extensions {
		w.string(e.name)
		w.string(e.version)
	}
	return nil
}
