package provision

import "errors"

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
