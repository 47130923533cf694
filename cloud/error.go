package cloud

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// A Kind is the one thing that programs switch on: the exit status of a command, the "kind" of its
// JSON error and the status of an SFTP reply all follow from it, by the table below.
type Kind string

// The kinds of failure. A nil error is of no kind.
const (
	Internal    Kind = "internal"
	Usage       Kind = "usage"
	Invalid     Kind = "invalid"
	NotFound    Kind = "not-found"
	Denied      Kind = "denied"
	Conflict    Kind = "conflict"
	Quota       Kind = "quota"
	Unavailable Kind = "unavailable"
	Cancelled   Kind = "cancelled"
)

// SFTP statuses, draft-ietf-secsh-filexfer-02 section 7.
const (
	sftpNoSuchFile       = 2
	sftpPermissionDenied = 3
	sftpFailure          = 4
)

var kinds = map[Kind]struct {
	exit int
	sftp uint32
}{
	Internal:    {1, sftpFailure},
	Usage:       {2, sftpFailure},
	Invalid:     {3, sftpFailure},
	NotFound:    {4, sftpNoSuchFile},
	Denied:      {5, sftpPermissionDenied},
	Conflict:    {6, sftpFailure},
	Quota:       {7, sftpFailure},
	Unavailable: {8, sftpFailure},
	Cancelled:   {130, sftpFailure},
}

// Exit is the process exit status of the kind.
func (k Kind) Exit() int { return kinds[k].exit }

// SFTP is the status code of the kind in an SSH_FXP_STATUS reply.
func (k Kind) SFTP() uint32 { return kinds[k].sftp }

// Error is a failure told to two readers: Message and Hint to the person who asked, Cause to the
// operator's log. Message is lower case, has no full stop and quotes the value given with %q. Hint is
// what to type next. Cause never leaves the gateway; Ref ties the two together.
type Error struct {
	Kind    Kind
	Message string
	Hint    string
	Ref     string
	Cause   error
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Cause }

// WithHint returns a copy of e that says what to type next.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// Because returns a copy of e that keeps cause for the log.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// Errorf makes an error of a kind with its message for people.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// KindOf says of what kind err is: that of the *Error in its chain, Cancelled for a context that ended,
// else Internal. KindOf(nil) is "".
func KindOf(err error) Kind {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Cancelled
	}
	return Internal
}

// Explain gives err the form in which it may be shown: an *Error as it is, a context that ended as
// Cancelled, a full disk as Unavailable, a full quota as Quota, and anything else as Internal, with a ref under which its cause is logged.
func Explain(err error, ref func() string) *Error {
	var e *Error
	if errors.As(err, &e) && (e.Kind != Internal || e.Ref != "") {
		return e
	}
	if KindOf(err) == Cancelled {
		return Errorf(Cancelled, "cancelled").Because(err)
	}
	if errors.Is(err, syscall.ENOSPC) {
		return Errorf(Unavailable, "no space left on the disk of the host").WithHint("try again later, and tell your admin").Because(err)
	}
	if errors.Is(err, syscall.EDQUOT) {
		return Errorf(Quota, "the site's disk limit is reached").WithHint("delete some files, or ask your admin for more").Because(err)
	}
	r := ref()
	e = Errorf(Internal, "something broke on our side (ref %s)", r).
		WithHint("tell your admin the ref; the cause is in the log under it").Because(err)
	e.Ref = r
	return e
}
