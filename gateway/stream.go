package gateway

import (
	"io"
	"sync"
)

// stream is one direction of a channel's output. The program of the session and the gateway itself may write to
// it at once; x/crypto's own writers may not be shared. After end nothing is written any more.
type stream struct {
	mu    sync.Mutex
	w     io.Writer
	ended bool
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return 0, io.ErrClosedPipe
	}
	return s.w.Write(p)
}

func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}
