package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/metrics"
	"plil.net/nuage/proxygen/builtin"
	"plil.net/nuage/trail"
)

// auditConfig is the section [audit].
type auditConfig struct {
	Keep   string `toml:"keep"`
	File   string `toml:"file"`
	Syslog bool   `toml:"syslog"`
}

// metricsConfig is the section [metrics].
type metricsConfig struct {
	Listen string `toml:"listen"`
	Public bool   `toml:"public"`
}

// watch is what looks on: counters, the trail of the audit, and the door that shows the counters.
type watch struct {
	metrics  *metrics.Metrics
	trail    *trail.Trail // nil: none
	listener net.Listener // nil: closed
	keep     time.Duration
}

func openWatch(c config, log *slog.Logger) (w *watch, err error) {
	w = &watch{metrics: metrics.New()}
	if err := read("audit.keep", c.Audit.Keep, &w.keep, cloud.ParseAge); err != nil {
		return nil, err
	}
	if w.listener, err = c.Metrics.open(); err != nil {
		return nil, err
	}
	if c.Audit.File == "" && !c.Audit.Syslog {
		return w, nil
	}
	if w.trail, err = trail.Open(trail.Options{File: c.Audit.File, Syslog: c.Audit.Syslog, Log: log}); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// open refuses an address that others can reach, unless it is said that they shall.
func (m metricsConfig) open() (net.Listener, error) {
	if m.Listen == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", m.Listen)
	if err != nil {
		return nil, cloud.Errorf(cloud.Unavailable, "metrics.listen = %q cannot be opened: %v", m.Listen, plain(err)).
			WithHint("write it like %q", "127.0.0.1:9222")
	}
	if !m.Public && !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
		l.Close()
		return nil, cloud.Errorf(cloud.Invalid, "metrics.listen = %q can be reached from outside", m.Listen).
			WithHint("write 127.0.0.1:9222, or set metrics.public = true if a firewall keeps strangers off")
	}
	return l, nil
}

func (w *watch) close() error {
	var err error
	if w.listener != nil {
		_ = w.listener.Close()
	}
	if w.trail != nil {
		err = w.trail.Close()
	}
	return err
}

// witness is what cloud tells.
func (w *watch) witness() cloud.Witness {
	if w.trail == nil {
		return w.metrics
	}
	return cloud.Witnesses{w.metrics, w.trail}
}

const scrapeTime = 30 * time.Second // to send or take a request

// run shows the counters until ctx ends.
func (w *watch) run(ctx context.Context, cl *cloud.Cloud, dir string) error {
	if w.listener == nil {
		return nil
	}
	cl.Log.Info("metrics", "address", w.listener.Addr())
	lost := func() int64 { return 0 }
	if w.trail != nil {
		lost = w.trail.Lost
	}
	server := &http.Server{
		Handler: w.metrics.Handler(metrics.Sources{
			States: cl.States, StoreSize: func() int64 { return storeSize(filepath.Join(dir, storeFile)) }, Lost: lost,
			Healthy: cl.Healthy, Version: cl.Version,
		}),
		ReadTimeout: scrapeTime, WriteTimeout: scrapeTime,
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(w.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func storeSize(path string) int64 {
	fi, err := os.Stat(path)
	if err != nil {
		return -1
	}
	return fi.Size()
}

// countedHits counts the requests on their way to the access logs.
type countedHits struct {
	builtin.Hits
	metrics *metrics.Metrics
}

func (c countedHits) Note(siteID string, h cloud.Hit) {
	c.metrics.Request(h.Status)
	c.Hits.Note(siteID, h)
}
