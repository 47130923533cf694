package main

import (
	"context"
	"io"
	stdlog "log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"plil.net/nuage/cloud"
)

func (p *program) serveCommand() *cobra.Command {
	var file string
	flags := defaults()
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Run the gateway",
		Long: "Runs the gateway until it is told to stop (SIGTERM, Ctrl-C). Flags win over the config file;\n" +
			"deploy/nuage.toml shows every key.",
		Example: "  nuage serve --data var --ssh :2222 --http :8080 --https :8443\n" +
			"  nuage serve --config /etc/nuage.toml",
		Args: takes(),
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
	stdlog.SetOutput(io.Discard) // where net/http writes what a container says without being asked, as often as that likes
	log := slog.New(slog.NewTextHandler(p.stderr, nil))
	plan, err := c.plan(log)
	if err != nil {
		return err
	}
	h, err := openHouse(ctx, plan, p.fault, log)
	if err != nil {
		return err
	}
	defer h.close()
	if p.healAfter > 0 {
		h.cloud.HealAfter = p.healAfter
	}
	return h.run(ctx, p.stderr)
}

// firstUID is the first site's: a range that no distribution gives to people or to subordinate users.
func firstUID() int {
	if os.Geteuid() != 0 {
		return os.Geteuid()
	}
	return 2_000_000
}
