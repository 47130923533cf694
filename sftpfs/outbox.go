package sftpfs

import (
	"io"
	"sync"
)

const (
	outboxSize  = 256 << 10 // replies beyond it wait for those before them to be sent
	inlineReply = 32 << 10  // a reply up to it is sent at once where the client waits for it
)

// outbox sends replies in one goroutine of its own, as many at once as have come meanwhile: each write becomes
// a packet of SSH with a cipher run and a system call of its own. A short reply that nothing follows is sent by who has
// it: small files are many such, and waking another goroutine for each costs more than sending it.
type outbox struct {
	to   io.Writer
	done sync.WaitGroup

	mu      sync.Mutex
	changed sync.Cond
	waiting []byte
	sending bool
	closed  bool
	err     error // of to
}

func newOutbox(to io.Writer) *outbox {
	o := &outbox{to: to}
	o.changed.L = &o.mu
	o.done.Go(o.send)
	return o
}

// put takes a reply, or returns why an earlier one could not be sent. more says that another follows soon. Only one
// goroutine may put.
func (o *outbox) put(p []byte, more bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.waiting) >= outboxSize && o.err == nil {
		o.changed.Wait()
	}
	if o.err != nil {
		return o.err
	}
	if !more && len(p) <= inlineReply && len(o.waiting) == 0 && !o.sending {
		o.mu.Unlock()
		_, err := o.to.Write(p)
		o.mu.Lock()
		o.err = err
		return nil // told by the next, as if it had waited
	}
	o.waiting = append(o.waiting, p...)
	o.changed.Broadcast()
	return nil
}

// close sends what waits and returns once it is sent, or cannot be.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.changed.Broadcast()
	o.mu.Unlock()
	o.done.Wait()
}

func (o *outbox) send() {
	var sending []byte
	for {
		o.mu.Lock()
		for len(o.waiting) == 0 && !o.closed {
			o.changed.Wait()
		}
		if len(o.waiting) == 0 || o.err != nil {
			o.mu.Unlock()
			return
		}
		sending, o.waiting, o.sending = o.waiting, sending[:0], true
		o.changed.Broadcast()
		o.mu.Unlock()
		_, err := o.to.Write(sending)
		o.sent(err)
	}
}

func (o *outbox) sent(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sending, o.err = false, err
	o.changed.Broadcast()
}
