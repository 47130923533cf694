package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
)

// TestKinds pins the contract of design section 3: exit statuses and SFTP statuses.
func TestKinds(t *testing.T) {
	t.Parallel()
	for kind, want := range map[Kind]struct {
		exit int
		sftp uint32
	}{
		Internal: {1, 4}, Usage: {2, 4}, Invalid: {3, 4}, NotFound: {4, 2}, Denied: {5, 3},
		Conflict: {6, 4}, Quota: {7, 4}, Unavailable: {8, 4}, Cancelled: {130, 4},
	} {
		if kind.Exit() != want.exit || kind.SFTP() != want.sftp {
			t.Errorf("%s: exit %d, sftp %d; want %+v", kind, kind.Exit(), kind.SFTP(), want)
		}
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	ref := func() string { return "7f3a9c" }
	e := Explain(fmt.Errorf("open /var/lib/secret: %w", io.ErrUnexpectedEOF), ref)
	if e.Kind != Internal || e.Ref != "7f3a9c" || strings.Contains(e.Message+e.Hint, "secret") || !errors.Is(e, io.ErrUnexpectedEOF) {
		t.Errorf("an unexpected error became %+v", e)
	}
	if again := Explain(e, ref); again != e {
		t.Errorf("explained twice: %+v", again)
	}
	taken := Errorf(Conflict, "the name %q is taken", "blog")
	if e := Explain(fmt.Errorf("create: %w", taken), ref); e != taken {
		t.Errorf("an error for people became %+v", e)
	}
	if e := Explain(context.Canceled, ref); e.Kind != Cancelled {
		t.Errorf("a cancelled one became %+v", e)
	}
	if e := Explain(fmt.Errorf("write /var/lib/secret: %w", syscall.ENOSPC), ref); e.Kind != Unavailable || strings.Contains(e.Message, "secret") {
		t.Errorf("a full disk became %+v", e)
	}
	if KindOf(nil) != "" || KindOf(io.EOF) != Internal {
		t.Error("KindOf")
	}
}
