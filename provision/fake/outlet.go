package fake

import (
	"io"
	"os"
	"sync/atomic"
	"time"
)

// outlet copies a program's output until its end. Once the program is dead, what it has written is still copied, however
// slowly, but what a background child holds open is not waited for.
type outlet struct {
	r, w *os.File
	to   io.Writer
	dead atomic.Bool
	err  error // of writing
}

func newOutlet(to io.Writer) (*outlet, error) {
	if to == nil {
		to = io.Discard
	}
	r, w, err := os.Pipe()
	return &outlet{r: r, w: w, to: to}, err
}

func (o *outlet) run() {
	o.w.Close() // the program has its own by now
	defer o.r.Close()
	b := make([]byte, 32<<10)
	for {
		if o.dead.Load() {
			_ = o.r.SetReadDeadline(time.Now().Add(drain))
		}
		n, err := o.r.Read(b)
		if n > 0 {
			if _, o.err = o.to.Write(b[:n]); o.err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (o *outlet) exited() {
	o.dead.Store(true)
	_ = o.r.SetReadDeadline(time.Now().Add(drain)) // wakes a read that waits
}
