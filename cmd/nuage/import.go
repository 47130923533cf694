package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/kballard/go-shellquote"
	"github.com/spf13/cobra"

	"plil.net/nuage/cloud"
)

// importCommand is "nuage ctl import" with a file for standard input.
func (p *program) importCommand() *cobra.Command {
	dir, groups := defaults().Data, ""
	cmd := &cobra.Command{
		Use:   "import [--data DIR] [--map VLAN=GROUP,…] FILE.csv",
		Short: "Make accounts and sites from a table with the columns login, vlan, docker_ip, domain",
		Long: "Makes the accounts and sites of another system's table (CSV), by way of the gateway that runs. Its\n" +
			"columns are login, vlan, docker_ip and domain.",
		Example: "  nuage import --map 100=students,200=teachers old.csv",
		Args:    takes("FILE.csv"),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return cloud.Errorf(cloud.NotFound, "table %q cannot be read: %v", args[0], errors.Unwrap(err))
			}
			defer f.Close()
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			from := *p
			from.stdin = f
			line := "import"
			if groups != "" {
				line = shellquote.Join("import", "--map", groups)
			}
			status, err := from.ctl(ctx, dir, line)
			if err != nil || status == 0 {
				return err
			}
			return exit(status)
		},
	}
	cmd.Flags().StringVar(&dir, "data", dir, "data directory of the gateway")
	cmd.Flags().StringVar(&groups, "map", "", "which group a VLAN of the table becomes; one not named here is a group of that name")
	return cmd
}
