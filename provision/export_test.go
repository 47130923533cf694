package provision

import (
	"errors"

	"github.com/moby/moby/api/types/events"
)

// TableName is the name of the engine's table of nftables.
func TableName(d *Docker) string { return d.tableName() }

// Excerpt is what lastWords keeps of a log that comes in these pieces.
func Excerpt(pieces ...string) string {
	var e excerpt
	for _, p := range pieces {
		_, _ = e.Write([]byte(p))
	}
	return e.String()
}

// Left reports whether a process is taken for one that has left a container, or never was in it.
func Left(pid int, container string) bool {
	ns, err := openNamespaces(pid, container)
	if err == nil {
		ns.close()
	}
	return errors.Is(err, errLeft)
}

// Told are the numbers of those events that are told.
func Told(all []events.Message) (told []int) {
	known := ends{}
	for n, m := range all {
		if !known.known(m) {
			told = append(told, n)
		}
	}
	return told
}
