// Package provision runs the containers of sites. Docker drives a Docker engine through its API, local or
// not; None is the engine of a host that has none. It decides nothing about sites: what shall run, where and
// with which limits stands in a cloud.Spec, and provisiontest says what every engine must do with it.
package provision

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/docker/go-connections/sockets"
	"github.com/docker/go-connections/tlsconfig"
	"github.com/moby/moby/client"

	"plil.net/nuage/cloud"
)

// StandardImage is what sites run when their Spec names no image. "make image" builds it.
const StandardImage = "nuage/php:8.2"

// pingLimit is how long a daemon may think about the simplest question.
const pingLimit = 5 * time.Second

// DockerOptions say which engine to use and how. Zero fields have the defaults named beside them.
type DockerOptions struct {
	Data  string // absolute data directory: whose containers and networks are ours
	Host  string // of the engine: unix:// or tcp://; DOCKER_HOST, else the local socket
	Image string // StandardImage
	Log   *slog.Logger

	Groups   []cloud.Group // what their networks may reach
	WebPorts []int         // of this host, that sites may reach as everybody may

	Pids   int64         // 128 processes and threads a site
	Starts int           // 4 containers started at once
	Ready  time.Duration // 15 s for a web server to accept connections
	Grace  time.Duration // 5 s, in whole seconds, for a container to stop by itself

	// Fault is called with each step of an update of a site; tests cut there. May be nil.
	Fault func(id, step string)
}

// Docker is a cloud.Engine on a Docker engine, API 1.40 or newer. The daemon may come and go: while it is away
// all verbs return Unavailable.
type Docker struct {
	DockerOptions
	api      *client.Client
	starts   chan struct{}
	entries  chan struct{}
	backlogs backlogs
	cores    atomic.Int64 // of the engine's host; 0 until asked
	fence    fence
	networks networks
}

var _ cloud.Engine = (*Docker)(nil)

// NewDocker makes the engine. It fails if the options make no sense, never because the daemon is down.
func NewDocker(ctx context.Context, o DockerOptions) (*Docker, error) {
	if !filepath.IsAbs(o.Data) {
		return nil, cloud.Errorf(cloud.Invalid, "data directory %q is not absolute", o.Data)
	}
	d := &Docker{DockerOptions: o.withDefaults()}
	if err := d.checkParents(os.Geteuid()); err != nil {
		return nil, err
	}
	api, err := dial(d.Host)
	if err != nil {
		return nil, cloud.Errorf(cloud.Invalid, "engine host %q is not usable", d.Host).
			WithHint("use unix:///PATH or tcp://HOST:PORT").Because(err)
	}
	d.api = api
	d.starts, d.entries = make(chan struct{}, d.Starts), make(chan struct{}, entries)
	if err := d.Ping(ctx); err != nil {
		d.Log.Warn("container engine does not answer yet", "host", d.Host, "err", errors.Unwrap(err))
	}
	return d, nil
}

func (o DockerOptions) withDefaults() DockerOptions {
	o.Host = or(o.Host, or(os.Getenv(client.EnvOverrideHost), client.DefaultDockerHost))
	o.Image = or(o.Image, StandardImage)
	o.Log = or(o.Log, slog.New(slog.DiscardHandler))
	o.Pids = or(o.Pids, 128)
	o.Starts = or(o.Starts, 4)
	o.Ready = or(o.Ready, 15*time.Second)
	o.Grace = or(o.Grace, 5*time.Second)
	if o.Fault == nil {
		o.Fault = func(string, string) {}
	}
	return o
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// dial makes a client that ignores HTTP_PROXY, which the module's own defaults obey for tcp:// hosts.
func dial(host string) (*client.Client, error) {
	u, err := client.ParseHostURL(host)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "unix" && u.Scheme != "tcp" {
		return nil, errors.New("unknown scheme " + u.Scheme)
	}
	t := &http.Transport{MaxIdleConns: 6, IdleConnTimeout: 30 * time.Second}
	if t.TLSClientConfig, err = dialTLS(); err != nil {
		return nil, err
	}
	if u.Scheme == "unix" {
		t.TLSClientConfig = nil
	}
	if err := sockets.ConfigureTransport(t, u.Scheme, u.Host); err != nil {
		return nil, err
	}
	t.Proxy = nil
	return client.New(client.WithHost(host),
		client.WithHTTPClient(&http.Client{Transport: t, CheckRedirect: client.CheckRedirect}))
}

// dialTLS reads the certificates that DOCKER_CERT_PATH names, as the docker command does.
func dialTLS() (*tls.Config, error) {
	dir := os.Getenv(client.EnvOverrideCertPath)
	if dir == "" {
		return nil, nil
	}
	return tlsconfig.Client(tlsconfig.Options{
		CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"),
	})
}

// Name is "docker".
func (d *Docker) Name() string { return "docker" }

// Ping asks the daemon, and agrees on a version of the API with it if that is still to do: a request made
// without would be sent in our newest version, which older engines refuse.
func (d *Docker) Ping(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	_, err := d.api.Ping(limited, client.PingOptions{NegotiateAPIVersion: true})
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return away(err)
	}
	return d.explain(err)
}

// Close lets go of idle connections.
func (d *Docker) Close() error { return d.api.Close() }

// explain tells a daemon that cannot be reached from one that refused. A context's own error stays as it is.
func (d *Docker) explain(err error) error {
	var (
		known *cloud.Error
		dial  *net.OpError
	)
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case client.IsErrConnectionFailed(err), errors.As(err, &dial):
		return away(err)
	}
	return cloud.Errorf(cloud.Unavailable, "the container engine refused").
		WithHint("ask your admin: the log says why").Because(errors.Join(cloud.ErrTrouble, err))
}

func away(err error) error {
	return cloud.Errorf(cloud.Unavailable, "the container engine does not answer").
		WithHint("try again in a moment; for the admin: systemctl status docker").Because(err)
}
