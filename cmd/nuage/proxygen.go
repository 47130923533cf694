package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"plil.net/nuage/cloud"
	"plil.net/nuage/provision"
	"plil.net/nuage/proxygen/builtin"
	"plil.net/nuage/store"
)

func (p *program) proxygenCommand() *cobra.Command {
	var file, format string
	flags := defaults()
	cmd := &cobra.Command{
		Use:   "proxygen --format nginx|caddy [--config FILE] [--data DIR]",
		Short: "Print what the gateway would give to nginx or Caddy",
		Long: "Prints the config for nginx or Caddy that the sites would have now, and changes nothing. The\n" +
			"gateway may be running.",
		Example: "  nuage proxygen --format nginx --config /etc/nuage.toml",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := readConfig(file)
			if err != nil {
				return err
			}
			c.override(flags, cmd.Flags().Changed)
			text, err := p.proxygen(cmd.Context(), c, format)
			if err != nil {
				return err
			}
			_, err = p.stdout.Write(text)
			return err
		},
	}
	cmd.Flags().StringVar(&format, "format", "", "nginx or caddy")
	cmd.Flags().StringVar(&file, "config", "", "config file, TOML")
	cmd.Flags().StringVar(&flags.Data, "data", flags.Data, "data directory")
	cmd.SetContext(context.Background())
	return cmd
}

func (p *program) proxygen(ctx context.Context, c config, format string) ([]byte, error) {
	if format != "nginx" && format != "caddy" {
		return nil, cloud.Errorf(cloud.Usage, "format %q is not known", format).WithHint("nuage proxygen --format nginx, or caddy")
	}
	c.HTTP.Proxy = format
	certs, err := c.certificateNames()
	limits, _, bad := c.web()
	if err := firstError(c.check(), err, bad); err != nil {
		return nil, err
	}
	routes, err := p.routes(ctx, c)
	if err != nil {
		return nil, err
	}
	at := web{c.HTTP.Listen, c.HTTP.TLS}
	if format == "nginx" {
		return c.nginx(at, c.HTTP.Behind, certs, limits.Body, nil).Render(routes), nil
	}
	return append(c.caddy(at, c.HTTP.Behind, certs, limits.Body, nil).Render(routes), '\n'), nil
}

// certificateNames names the files of certificates without making any.
func (c config) certificateNames() (certificates, error) {
	quiet := slog.New(slog.DiscardHandler)
	groups, _, err := c.groups()
	if err != nil {
		return certificates{}, err
	}
	domains := domainsOf(c.Domain, groups)
	dir := filepath.Join(c.Data, certsDir)
	switch c.HTTP.Cert {
	case "files":
		return openCertificates(c, nil, cloud.Door{}, nil, quiet)
	case "acme":
		issuer, err := c.issuer(dir, cloud.Door{}, domains, quiet) // it gets none unless it runs
		if err != nil {
			return certificates{}, err
		}
		return certificates{files: issuer.Files}, nil
	}
	return certificates{files: func(host string) (cert, key string, ok bool) {
		name := builtin.HostFile(dir, covering(host, domains))
		return name, name, true
	}}, nil
}

// routes are those of a gateway: from a snapshot of its store where it runs.
func (p *program) routes(ctx context.Context, c config) ([]cloud.Route, error) {
	dir, err := os.MkdirTemp("", "nuage-proxygen-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path, err := p.snapshot(ctx, c.Data, filepath.Join(dir, storeFile))
	if err != nil {
		return nil, err
	}
	groups, usual, err := c.groups()
	if err != nil {
		return nil, err
	}
	s, err := store.Open(path, store.Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	shown := &shown{}
	cl, err := cloud.New(cloud.Options{
		Store: s, Engine: provision.None{}, Publisher: shown, Groups: groups, DefaultGroup: usual, Domain: c.Domain,
	})
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	err = cl.Publish(ctx)
	return shown.routes, err
}

// snapshot copies the store to a file: by way of the gateway, else from where it lies.
func (p *program) snapshot(ctx context.Context, data, to string) (string, error) {
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	defer out.Close()
	if _, err := os.Stat(filepath.Join(data, addressFile)); err == nil {
		asked := program{stdin: p.stdin, stdout: out, stderr: p.stderr}
		status, err := asked.ctl(ctx, data, "backup")
		if err == nil && status != 0 {
			err = exit(status)
		}
		return to, err
	}
	in, err := os.Open(filepath.Join(data, storeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", cloud.Errorf(cloud.NotFound, "there is no gateway's data in %q", data).WithHint("name it with --data DIR")
	}
	if err != nil {
		return "", err
	}
	defer in.Close()
	if _, err := io.Copy(out, in); err != nil {
		return "", fmt.Errorf("copy the store: %w", err)
	}
	return to, nil
}

// shown is a publisher that only looks.
type shown struct{ routes []cloud.Route }

func (s *shown) Publish(_ context.Context, routes []cloud.Route) error {
	s.routes = routes
	return nil
}
