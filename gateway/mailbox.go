package gateway

import "plil.net/nuage/cloud"

// sizes is a mailbox of one window size, the latest. Only one goroutine may put.
type sizes chan cloud.WindowSize

func newSizes() sizes { return make(sizes, 1) }

// put never blocks: a size that nobody has taken yet is replaced.
func (s sizes) put(size cloud.WindowSize) {
	select {
	case <-s:
	default:
	}
	s <- size
}

// names is a mailbox of signals.
type names chan string

const maxSignals = 16 // waiting for the program to take them

func newNames() names { return make(names, maxSignals) }

// put never blocks: what does not fit is lost, as signals are.
func (n names) put(name string) bool {
	select {
	case n <- name:
		return true
	default:
		return false
	}
}
