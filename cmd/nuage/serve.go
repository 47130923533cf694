package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"plil.net/nuage/accesslog"
	"plil.net/nuage/archive"
	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
	"plil.net/nuage/proxygen/builtin"
)

func (p *program) serveCommand() *cobra.Command {
	var file string
	flags := defaults()
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Run the gateway",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := readConfig(file)
			if err != nil {
				return p.failed(err)
			}
			c.override(flags, cmd.Flags().Changed)
			saveMemory()
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal ends the process at once
			return p.failed(p.serve(ctx, c))
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "config", "", "config file, TOML")
	f.StringVar(&flags.Data, "data", flags.Data, "data directory")
	f.StringVar(&flags.SSH.Listen, "ssh", flags.SSH.Listen, "address of the SSH door")
	f.StringVar(&flags.HTTP.Listen, "http", flags.HTTP.Listen, "address for HTTP")
	f.StringVar(&flags.HTTP.TLS, "https", flags.HTTP.TLS, "address for HTTPS")
	f.StringVar(&flags.Domain, "domain", flags.Domain, "default domain")
	f.StringVar(&flags.Engine.Kind, "engine", flags.Engine.Kind, "auto, docker or none")
	cmd.SetContext(context.Background())
	return cmd
}

// override puts the flags that were given over the config.
func (c *config) override(flags config, given func(string) bool) {
	for _, f := range []struct {
		name      string
		dst, from *string
	}{
		{"data", &c.Data, &flags.Data},
		{"ssh", &c.SSH.Listen, &flags.SSH.Listen},
		{"http", &c.HTTP.Listen, &flags.HTTP.Listen},
		{"https", &c.HTTP.TLS, &flags.HTTP.TLS},
		{"domain", &c.Domain, &flags.Domain},
		{"engine", &c.Engine.Kind, &flags.Engine.Kind},
	} {
		if given(f.name) {
			*f.dst = *f.from
		}
	}
}

// failed says why the gateway does not run; its status is always 1.
func (p *program) failed(err error) error {
	if err == nil {
		return nil
	}
	p.report(err)
	return exit(cloud.Internal.Exit())
}

// serve runs the gateway until ctx ends. Whoever is still at work then gets a grace.
func (p *program) serve(ctx context.Context, c config) error {
	if err := c.check(); err != nil {
		return err
	}
	groups, usual, err := c.groups()
	if err != nil {
		return err
	}
	spare, err := cloud.ParseSize(c.Engine.Spare)
	if err != nil {
		return fmt.Errorf("engine.spare: %w", err)
	}
	log := slog.New(slog.NewTextHandler(p.stderr, nil))
	entry, err := c.entry(groups, log)
	if err != nil {
		return err
	}
	d, err := openData(c.Data)
	if err != nil {
		return err
	}
	defer d.close()
	doors, err := openDoors(c)
	if err != nil {
		return err
	}
	defer doors.close()

	w, err := openWatch(c, log)
	if err != nil {
		return err
	}
	defer w.close()
	size, err := c.accessLog()
	if err != nil {
		return err
	}
	clock := cloud.NewClock(d.last, time.Now, log)
	hits := accesslog.New(d.sites(), accesslog.Options{Size: size, Steady: clock.Steady, Log: log})
	defer hits.Close()
	limits, proxies, err := c.web()
	if err != nil {
		return err
	}
	engine, err := openEngine(ctx, c, d, groups, doors.web(), p.fault, log)
	if err != nil {
		return err
	}
	defer engine.Close()
	resolver, addresses, err := c.dns()
	if err != nil {
		return err
	}
	certs, err := openCertificates(c, d, doors.public(c), domainsOf(c.Domain, groups), log)
	if err != nil {
		return err
	}
	cl, err := cloud.New(cloud.Options{
		Store: d.store, Engine: engine, Homes: d.homes, Hits: hits, Archive: archive.Write,
		Groups: groups, DefaultGroup: usual, Images: c.Images, Pressed: pressed(spare), Host: hostUse(d.dir), Domain: c.Domain, Door: doors.public(c),
		Resolver: resolver, Addresses: addresses,
		OperatorKey: d.keys.OperatorFingerprint(), RootCA: certs.root, Certificates: certs.told, Version: currentVersion(),
		Authorities: entry.authorities.Fingerprints(), CertRevoked: entry.revoked.Has, CertTrouble: entry.revoked.Trouble, School: entry.cloud(), Rules: entry.rules,
		Witness: w.witness(), AuditKeep: w.keep,
		FirstUID: firstUID(), SameUID: os.Geteuid() != 0, Log: log, Clock: clock, Fault: p.fault,
	})
	if err != nil {
		return err
	}
	defer cl.Close()
	counted := countedHits{hits, w.metrics}
	proxy := builtin.New(builtin.Options{Sites: cl, Reach: cl.Reach, Certificates: certs.served, Domains: cl.Domains(), Door: doors.public(c), Hits: counted, Behind: doors.behind != nil, Challenge: certs.challenge, Limits: limits, Proxies: proxies, QUICPort: doors.quicPort(), Robots: c.Engine.Robots, Log: log})
	if certs.join != nil {
		certs.join(cl)
	}
	cl.Publisher = c.publisher(proxy, doors, certs, limits.Body, counted, log) // each needs the other
	return p.open(ctx, cl, proxy, certs, d, doors, entry, w, log)
}

// open publishes the routes, lets people in, and comes back when ctx has ended and everybody is gone.
func (p *program) open(ctx context.Context, cl *cloud.Cloud, proxy *builtin.Proxy, certs certificates, d *data, doors *doors, e entry, w *watch, log *slog.Logger) error {
	if err := cl.Publish(ctx); cloud.KindOf(err) == cloud.Unavailable {
		log.Error("the proxy outside does not serve the sites yet", "err", err) // Reconcile tries again
	} else if err != nil {
		return err
	}
	door := gateway.New(gateway.Options{Cloud: cl, HostKeys: d.keys.HostKeys(), NextHostKeys: d.keys.NextHostKeys(), Limits: e.limits, Authorities: e.authorities, Meter: w.metrics, Log: log})
	cl.Revoked = door.HangUp
	at := filepath.Join(d.dir, addressFile)
	if err := os.WriteFile(at, []byte(doors.local()+"\n"), 0o600); err != nil {
		return err
	}
	defer os.Remove(at)

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { cl.Run(ctx); return nil })
	g.Go(func() error { followLoad(ctx, proxy.Asked); return nil })
	g.Go(func() error { certs.run(ctx); return nil })
	g.Go(func() error { e.run(ctx); return nil })
	if outside, ok := cl.Publisher.(both); ok {
		g.Go(func() error { outside.run(ctx); return nil })
	}
	g.Go(func() error { return w.run(ctx, cl, d.dir) })
	g.Go(func() error { return proxy.Serve(ctx, cmp.Or(doors.behind, doors.http), doors.https) })
	if doors.quic != nil {
		g.Go(func() error { return proxy.ServeQUIC(ctx, doors.quic) })
	}
	g.Go(func() error { return door.Serve(ctx, doors.ssh) })
	fmt.Fprintln(p.stderr, doors.ready(cl.Engine.Name()))
	return g.Wait()
}

// firstUID is the first site's: a range that no distribution gives to people or to subordinate users.
func firstUID() int {
	if os.Geteuid() != 0 {
		return os.Geteuid()
	}
	return 2_000_000
}
