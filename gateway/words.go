package gateway

import "plil.net/nuage/cloud"

// word is one word of a command line as a POSIX shell cuts it: raw is how it stands there, "" where no shell reads it;
// value is what it means without quotes and escapes. Nothing is expanded.
type word struct{ raw, value string }

// cut cuts a line into words. What else a shell makes of a line (operators, comments, variables) are letters like others.
func cut(line string) ([]word, error) {
	var words []word
	for at := 0; ; {
		for at < len(line) && isBlank(line[at]) {
			at++
		}
		if at == len(line) {
			return words, nil
		}
		r, value := reader{text: line[at:]}, []byte{}
		for b, ok := r.next(); ok; b, ok = r.next() {
			value = append(value, b)
		}
		if r.broken {
			return nil, cloud.Errorf(cloud.Usage, "the line ends within a quote or an escape").WithHint("close the quote")
		}
		words = append(words, word{line[at : at+r.at], string(value)})
		at += r.at
	}
}

// after is the form, fit for whoever reads the word, of what follows the first n bytes of its value.
func (w word) after(n int) string {
	if w.raw == "" {
		return w.value[n:]
	}
	r := reader{text: w.raw}
	for range n {
		r.next()
	}
	if r.quote != 0 {
		return string(r.quote) + w.raw[r.at:]
	}
	return w.raw[r.at:]
}

// reader reads the value of one word.
type reader struct {
	text   string
	at     int
	quote  byte // the open one, 0 outside
	broken bool // a quote or an escape is open at the end of text
}

// next is the next byte of the value, false at the end of the word.
func (r *reader) next() (b byte, ok bool) {
	for r.at < len(r.text) {
		b := r.text[r.at]
		switch {
		case r.quote == 0 && isBlank(b):
			return 0, false
		case r.quote == 0 && (b == '\'' || b == '"'):
			r.quote = b
			r.at++
		case r.quote != 0 && b == r.quote:
			r.quote = 0
			r.at++
		case b == '\\' && r.quote != '\'':
			if b, ok := r.escape(); ok {
				return b, true
			}
		default:
			r.at++
			return b, true
		}
	}
	r.broken = r.broken || r.quote != 0
	return 0, false
}

// escape reads a backslash and what it escapes. A line that is continued has nothing there.
func (r *reader) escape() (b byte, ok bool) {
	if r.at++; r.at == len(r.text) {
		r.broken = true
		return 0, false
	}
	switch b := r.text[r.at]; {
	case b == '\n':
		r.at++
		return 0, false
	case r.quote == '"' && b != '"' && b != '\\' && b != '$' && b != '`':
		return '\\', true // stands for itself
	default:
		r.at++
		return b, true
	}
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' || b == '\n' }
