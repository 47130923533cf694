package provision

import (
	"context"
	"io"
	"net"

	"plil.net/nuage/cloud"
)

// None is the engine of a host that has none: static sites need no other.
type None struct{}

var _ cloud.Engine = None{}

// Name is "none".
func (None) Name() string { return "none" }

// Ping is always answered: nothing is expected to come.
func (None) Ping(context.Context) error { return nil }

// Up is Unavailable.
func (None) Up(context.Context, cloud.Spec) error { return noEngine() }

// Update is Unavailable.
func (None) Update(context.Context, cloud.Spec, func(string) bool) error { return noEngine() }

// ImageID knows no image.
func (None) ImageID(context.Context, string) string { return "" }

// Down has nothing to stop.
func (None) Down(context.Context, string) error { return nil }

// Remove has nothing to remove.
func (None) Remove(context.Context, string) error { return nil }

// List is empty.
func (None) List(context.Context) ([]cloud.Container, error) { return nil, nil }

// Tidy has nothing to tidy.
func (None) Tidy(context.Context, []cloud.Container) {}

// Exec is Unavailable.
func (None) Exec(context.Context, string, cloud.Exec) (int, error) { return 0, noEngine() }

// Dial is Unavailable.
func (None) Dial(context.Context, string, string, string) (cloud.Conn, error) { return nil, noEngine() }

// Listen is Unavailable.
func (None) Listen(context.Context, string) (net.Listener, error) { return nil, noEngine() }

// Logs is Unavailable.
func (None) Logs(context.Context, string, cloud.LogOptions, io.Writer, io.Writer) error {
	return noEngine()
}

// Watch sees nothing until ctx ends.
func (None) Watch(ctx context.Context, ready func(), _ func(string, func() bool)) error {
	ready()
	<-ctx.Done()
	return ctx.Err()
}

// Close has nothing to close.
func (None) Close() error { return nil }

func noEngine() error {
	return cloud.Errorf(cloud.Unavailable, "there is no container engine here, which PHP and shells need").
		WithHint("use a static site and sftp; for the admin: [engine] kind = \"docker\"")
}
