package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"plil.net/nuage/cloud"
)

// show prints data: v as JSON, or what text prints.
func (j *job) show(v any, text func()) error {
	if !j.json {
		text()
		return nil
	}
	_, err := j.Stdout.Write(append(encode(v, "  "), '\n'))
	return err
}

// say prints talk, for people only.
func (j *job) say(format string, args ...any) {
	if !j.json {
		fmt.Fprintf(j.Stderr, "%s\n", visible(fmt.Sprintf(format, args...)))
	}
}

// encode is JSON in which nothing can reach a terminal as a control: encoding/json escapes only those below space.
func encode(v any, indent string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err)) // our own plain structs
	}
	var out bytes.Buffer
	for _, r := range strings.TrimSuffix(b.String(), "\n") {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			out.WriteRune(r)
		case r > 0xffff:
			high, low := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.Bytes()
}

// failure is an error for programs.
type failure struct {
	Kind    cloud.Kind `json:"kind"`
	Message string     `json:"message"`
	Hint    string     `json:"hint"`
	Ref     string     `json:"ref"` // of what broke on our side
}

// Fail prints err as people or programs read it and returns its exit status. What is no *cloud.Error is told as
// something that broke on our side.
func Fail(w io.Writer, err error, asJSON bool) int {
	if err == nil {
		return 0
	}
	var e *cloud.Error
	if !errors.As(err, &e) {
		e = cloud.Errorf(cloud.KindOf(err), "something broke on our side").WithHint("try again, or tell your admin when it was")
		if e.Kind == cloud.Cancelled {
			e = cloud.Errorf(cloud.Cancelled, "cancelled")
		}
	}
	if asJSON {
		fmt.Fprintf(w, "%s\n", encode(map[string]failure{"error": {e.Kind, e.Message, e.Hint, e.Ref}}, ""))
		return e.Kind.Exit()
	}
	fmt.Fprintf(w, "nuage: %s\n", visible(e.Message))
	for hint := range strings.SplitSeq(e.Hint, "\n") {
		if hint != "" {
			fmt.Fprintf(w, "hint: %s\n", visible(hint))
		}
	}
	return e.Kind.Exit()
}

// visible shows a line with what a terminal would obey, or not show at all, written out.
func visible(s string) string {
	bad := func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }
	if strings.IndexFunc(s, bad) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if bad(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// ago is a time as people say it: near ones by distance, others by date.
func (j *job) ago(t time.Time) string {
	now := j.Cloud.Now()
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return "never"
	case d < -time.Minute || d >= 7*24*time.Hour:
		return t.In(now.Location()).Format(time.DateOnly)
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	case d < 48*time.Hour:
		return "1 day ago"
	}
	return fmt.Sprintf("%d days ago", d/(24*time.Hour))
}
