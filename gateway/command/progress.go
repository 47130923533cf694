package command

import (
	"io"
	"time"
)

// patience is how long nobody wonders what is going on.
const patience = time.Second

// Progress tells a person who waits what is going on, once it has taken a second: each step on a line of its own.
type Progress struct {
	steps chan string
	done  chan struct{}
}

// NewProgress tells w, or nobody if w is nil. End ends it.
func NewProgress(w io.Writer) *Progress {
	p := &Progress{steps: make(chan string, 8), done: make(chan struct{})}
	if w == nil {
		p.steps = nil
		close(p.done)
		return p
	}
	go func() {
		defer close(p.done)
		p.tell(w)
	}()
	return p
}

// Step says what begins; with "" there is nothing to wait for any more. It never blocks: a terminal that takes nothing
// misses it.
func (p *Progress) Step(what string) {
	select {
	case p.steps <- what:
	default:
	}
}

// progress is where a command tells what takes long. At the prompt all goes to the terminal anyway.
func (j *job) progress() *Progress {
	if j.term != nil && j.term.prompting {
		return NewProgress(j.Stderr)
	}
	return NewProgress(j.Progress)
}

// End comes after the last Step, and back when all is told. It may be called again.
func (p *Progress) End() {
	if p.steps != nil {
		close(p.steps)
	}
	<-p.done
	p.steps = nil
}

func (p *Progress) tell(w io.Writer) {
	what, late := "", false
	var timer <-chan time.Time
	for {
		select {
		case step, ok := <-p.steps:
			if !ok {
				return
			}
			if what = step; timer == nil {
				timer = time.After(patience)
			}
		case <-timer:
			late = true
		}
		if late && what != "" {
			_, _ = io.WriteString(w, "nuage: "+what+"…\n")
			what = ""
		}
	}
}
