package command

import (
	"bytes"
	"io"
	"unicode"
	"unicode/utf8"

	"plil.net/nuage/cloud"
)

// client writes to somebody who may go away: that is no failure of ours.
type client struct{ io.Writer }

func (c client) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	if err != nil {
		err = cloud.Errorf(cloud.Cancelled, "nobody reads the output any more").Because(err)
	}
	return n, err
}

// lines writes text to a terminal in raw mode, where a new line needs a carriage return.
type lines struct{ to io.Writer }

func (l *lines) Write(p []byte) (int, error) {
	if _, err := l.to.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// harmless writes text that somebody else's program printed to a terminal, with all that it would obey written out.
type harmless struct {
	to   io.Writer
	rest []byte // the beginning of a character
}

func (h *harmless) Write(p []byte) (int, error) {
	text := append(h.rest, p...)
	var out bytes.Buffer
	for len(text) > 0 && utf8.FullRune(text) {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == '\r' && len(text) > 1 && text[1] == '\n':
		case r == '\n' || r == '\t' || unicode.IsPrint(r) && r != utf8.RuneError:
			out.Write(text[:size])
		default:
			out.WriteString(visible(string(text[:size])))
		}
		text = text[size:]
	}
	h.rest = append([]byte(nil), text...)
	if _, err := h.to.Write(out.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}
