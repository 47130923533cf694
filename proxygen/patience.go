package proxygen

import (
	"cmp"
	"fmt"
	"time"
)

// Patience is how long a proxy outside waits, in whole seconds. What is 0 is as long as the built-in one waits.
type Patience struct {
	Header  time.Duration // for the header of a request
	Silence time.Duration // without a byte moving, in a body or before the answer of a container
}

// Usual fills in what is 0.
func (p Patience) Usual() Patience {
	return Patience{cmp.Or(p.Header, 10*time.Second), cmp.Or(p.Silence, 5*time.Minute)}
}

// Seconds is a time as nginx and Caddy both read it.
func Seconds(d time.Duration) string { return fmt.Sprintf("%ds", int(d.Seconds())) }
