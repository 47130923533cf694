package cloud

import (
	"context"
	"io"
	"net"
	"net/netip"
)

// Engine runs the containers of sites. provisiontest holds what every engine must do. All verbs name a site
// by its id and are idempotent. An engine that cannot be reached returns Unavailable. The engine sees only
// the containers of its own gateway.
type Engine interface {
	// Name is "docker" or "none".
	Name() string
	// Ping asks whether the engine answers now.
	Ping(ctx context.Context) error
	// Up makes the site's container be as spec says and run, and returns once its web server accepts
	// connections at spec.Address:WebPort, or for a Bare one once programs can run in it. A container that differs from
	// spec is replaced, and one that there is keeps its image, also where spec.Image leads to another by now.
	// Unavailable if it did not come up, with the container's last words in the Cause. An Update that was cut is undone.
	Up(ctx context.Context, spec Spec) error
	// Update is Up, and takes the image that spec.Image leads to now if the container does not run, has another one and
	// may allows it, which is told the id of the new one. The container of before is kept until the new one has answered a
	// request. If that does not happen it is brought back, runs on the image it had, and the error is a *Reverted.
	Update(ctx context.Context, spec Spec, may func(image string) bool) error
	// ImageID is the id of the image that Spec.Image leads to now; "" if there is none, or if it cannot be asked.
	ImageID(ctx context.Context, image string) string
	// Down stops the container and keeps it.
	Down(ctx context.Context, id string) error
	// Remove removes the container, running or not.
	Remove(ctx context.Context, id string) error
	// List returns all containers of this gateway, running or not.
	List(ctx context.Context) ([]Container, error)
	// Tidy removes what the engine keeps for sites beside their containers and none of list, which List has just returned,
	// needs any more; and sets anew what keeps sites from each other and from the host. What it cannot do the engine warns
	// of, and the next Tidy tries again.
	Tidy(ctx context.Context, list []Container)
	// Exec runs a program in the running container as the site's uid and returns its exit status: 128+n if a
	// signal n ended it. It returns once the program has ended and its output is written. When ctx ends
	// first, the program and all it started in its session are killed, and ctx's error is returned.
	// Exec may go on reading x.Stdin after it has returned: the caller makes that read fail.
	Exec(ctx context.Context, id string, x Exec) (status int, err error)
	// Dial connects to network "tcp", an address and port, or "unix", an absolute path, as the running container has
	// them and with the rights of the site's uid. Nothing outside the container is reached. Conflict if it does not
	// run; NotFound, Denied or Unavailable if the socket is not there, is not the site's, or nobody listens on it.
	Dial(ctx context.Context, id, network, address string) (Conn, error)
	// Listen makes a Unix socket in the running container that the site's uid alone can reach. Its Addr is the path
	// there. Close removes it.
	Listen(ctx context.Context, id string) (net.Listener, error)
	// Logs writes what the container printed; with Follow until ctx ends or the container stops.
	Logs(ctx context.Context, id string, o LogOptions, stdout, stderr io.Writer) error
	// Watch calls changed for each container that starts or stops by itself, until the connection to the
	// engine breaks or ctx ends. It calls ready once it is listening, so that a look at List after ready misses
	// nothing. What is told may come late: runs looks at what is so now, where a stop may have been mended by Up.
	Watch(ctx context.Context, ready func(), changed func(id string, runs func() bool)) error
	Close() error
}

// Spec is all that a site's container is made of.
type Spec struct {
	ID      string
	Name    string
	Image   string // empty: the engine's standard image
	Group   Group  // its network; Limits are not read
	Address netip.Addr
	UID     int    // and gid
	Home    string // host path, mounted at HomePath
	Root    string // document root, relative to the home

	Bare     bool  // without network and web server: for Exec alone. Image, Group and Address are zero
	ReadOnly bool  // of the home
	Memory   int64 // bytes
	CPUs     float64
}

// Container is what an engine tells of a container.
type Container struct {
	ID      string // of the site
	Name    string
	Running bool
	Address netip.Addr // as configured; zero if unknown
	Image   string     // id of the one it was made of
}

// Reverted is the error of an Update whose new image did not come up: the site runs, on the image it had.
type Reverted struct {
	Image  string // id of the new one
	Reason string
	Cause  error
}

func (r *Reverted) Error() string { return "the new image did not come up: " + r.Reason }

func (r *Reverted) Unwrap() error { return r.Cause }

// Exec is a program to run in a container. Argv is never given to a shell of the host.
type Exec struct {
	Argv []string
	Env  []string // NAME=value, added to the container's
	TTY  bool     // a terminal: Stderr is not used, and the end of Stdin does not end the program's input
	Size WindowSize

	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Resize and Signals may be nil. Signals carries names without SIG (RFC 4254 section 6.10).
	Resize  <-chan WindowSize
	Signals <-chan string

	// Progress may be nil. Cloud tells it what a person waits for before the program starts, and "" when that is over.
	// Engines do not.
	Progress func(step string)
}

// Conn is a stream that can be closed in one direction.
type Conn interface {
	net.Conn
	CloseWrite() error
}

// WindowSize is the size of a terminal in characters.
type WindowSize struct{ Columns, Rows uint16 }

// LogOptions say what of the log to show.
type LogOptions struct {
	Follow bool
	Tail   int // last lines; all if negative
}

// Streams are where a verb writes: Stdout is data, Stderr is talk.
type Streams struct{ Stdout, Stderr io.Writer }
