package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"plil.net/nuage/accesslog"
	"plil.net/nuage/archive"
	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
	"plil.net/nuage/proxygen/builtin"
)

// house is what serve opens, and what it makes of that.
type house struct {
	plan
	log    *slog.Logger
	data   *data
	doors  *doors
	watch  *watch
	clock  *cloud.Clock
	hits   *accesslog.Log
	engine cloud.Engine
	certs  certificates
	cloud  *cloud.Cloud
	proxy  *builtin.Proxy

	open []func() // what closes each thing, in the order in which they were opened
}

// openHouse opens all or nothing.
func openHouse(ctx context.Context, p plan, fault func(step string), log *slog.Logger) (*house, error) {
	h := &house{plan: p, log: log}
	if err := h.openAll(ctx, fault); err != nil {
		h.close()
		return nil, err
	}
	h.join()
	return h, nil
}

func (h *house) openAll(ctx context.Context, fault func(step string)) (err error) {
	c := h.config
	if h.data, err = openData(c.Data); err != nil {
		return err
	}
	h.opened(func() { h.data.close() })
	if h.doors, err = openDoors(c); err != nil {
		return err
	}
	h.opened(h.doors.close)
	if h.watch, err = openWatch(c, h.log); err != nil {
		return err
	}
	h.opened(func() { h.watch.close() })
	h.clock = cloud.NewClock(h.data.last, time.Now, h.log)
	h.hits = accesslog.New(h.data.sites(), accesslog.Options{Size: h.logSize, Steady: h.clock.Steady, Log: h.log})
	h.opened(h.hits.Close)
	if h.engine, err = openEngine(ctx, c, h.data, h.groups, h.doors.web(), fault, h.log); err != nil {
		return err
	}
	h.opened(func() { h.engine.Close() })
	if h.certs, err = openCertificates(c, h.data, h.doors.public(c), domainsOf(c.Domain, h.groups), h.log); err != nil {
		return err
	}
	if h.cloud, err = h.newCloud(fault); err != nil {
		return err
	}
	h.opened(h.cloud.Close)
	return nil
}

func (h *house) opened(close func()) { h.open = append(h.open, close) }

// close closes what was opened, the last first.
func (h *house) close() {
	for _, close := range slices.Backward(h.open) {
		close()
	}
}

func (h *house) newCloud(fault func(step string)) (*cloud.Cloud, error) {
	c := h.config
	return cloud.New(cloud.Options{
		Store: h.data.store, Engine: h.engine, Homes: h.data.homes, Hits: h.hits, Archive: archive.Write,
		Groups: h.groups, DefaultGroup: h.usual, Images: c.Images, Domain: c.Domain, Door: h.doors.public(c),
		Pressed: pressed(h.spare), Host: hostUse(h.data.dir), Resolver: h.resolver, Addresses: h.addresses,
		OperatorKey: h.data.keys.OperatorFingerprint(), School: h.entry.cloud(), Rules: h.entry.rules,
		Authorities: h.entry.authorities.Fingerprints(), CertRevoked: h.entry.revoked.Has, CertTrouble: h.entry.revoked.Trouble,
		RootCA: h.certs.root, Certificates: h.certs.told, Version: currentVersion(),
		Witness: h.watch.witness(), AuditKeep: h.watch.keep,
		FirstUID: firstUID(), SameUID: os.Geteuid() != 0, Log: h.log, Clock: h.clock, Fault: fault,
	})
}

// join makes the proxy and ties it to the cloud: each needs the other.
func (h *house) join() {
	c := h.config
	counted := countedHits{h.hits, h.watch.metrics}
	h.proxy = builtin.New(builtin.Options{
		Sites: h.cloud, Reach: h.cloud.Reach, Certificates: h.certs.served, Domains: h.cloud.Domains(), Door: h.doors.public(c),
		Hits: counted, Behind: h.doors.behind != nil, Challenge: h.certs.challenge, Limits: h.limits, Proxies: h.proxies,
		QUICPort: h.doors.quicPort(), Robots: c.Engine.Robots, Log: h.log,
	})
	if h.certs.join != nil {
		h.certs.join(h.cloud)
	}
	h.cloud.Publisher = c.publisher(h.proxy, h.doors, h.certs, h.limits.Body, counted, h.log)
}

// run publishes the routes, lets people in, and comes back when ctx has ended and everybody is gone. It writes the ready
// line (contract) to out once every door is open.
func (h *house) run(ctx context.Context, out io.Writer) error {
	if err := h.cloud.Publish(ctx); cloud.KindOf(err) == cloud.Unavailable {
		h.log.Error("the proxy outside does not serve the sites yet", "err", err) // Reconcile tries again
	} else if err != nil {
		return err
	}
	door := gateway.New(gateway.Options{
		Cloud: h.cloud, HostKeys: h.data.keys.HostKeys(), NextHostKeys: h.data.keys.NextHostKeys(), Limits: h.entry.limits,
		Authorities: h.entry.authorities, Meter: h.watch.metrics, Log: h.log,
	})
	h.cloud.Revoked = door.HangUp
	at := filepath.Join(h.data.dir, addressFile)
	if err := os.WriteFile(at, []byte(h.doors.local()+"\n"), 0o600); err != nil {
		return err
	}
	defer os.Remove(at)

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { h.cloud.Run(ctx); return nil })
	g.Go(func() error { followLoad(ctx, h.proxy.Asked); return nil })
	g.Go(func() error { h.keepTime(ctx); return nil })
	g.Go(func() error { h.certs.run(ctx); return nil })
	g.Go(func() error { h.entry.run(ctx); return nil })
	if outside, ok := h.cloud.Publisher.(both); ok {
		g.Go(func() error { outside.run(ctx); return nil })
	}
	g.Go(func() error { return h.watch.run(ctx, h.cloud, h.data.dir) })
	g.Go(func() error { return h.proxy.Serve(ctx, cmp.Or(h.doors.behind, h.doors.http), h.doors.https) })
	if h.doors.quic != nil {
		g.Go(func() error { return h.proxy.ServeQUIC(ctx, h.doors.quic) })
	}
	g.Go(func() error { return door.Serve(ctx, h.doors.ssh) })
	fmt.Fprintln(out, h.doors.ready(h.engine.Name()))
	return g.Wait()
}

const timeEvery = 10 * time.Minute

// keepTime has the next start know of which time this one was sure.
func (h *house) keepTime(ctx context.Context) {
	tick := time.NewTicker(timeEvery)
	defer tick.Stop()
	for {
		if h.clock.Steady() {
			if err := h.data.keepTime(); err != nil {
				h.log.Warn("the time not kept", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
