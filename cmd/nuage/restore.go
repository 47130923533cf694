package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"plil.net/nuage/archive"
	"plil.net/nuage/cloud"
	"plil.net/nuage/store"
)

func (p *program) restoreCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "restore --data DIR FILE",
		Short: "Replace what is there by a backup; FILE may be - for standard input",
		Long: "Replaces the records by those of a backup, and the files of all sites too if it was made by\n" +
			"\"backup --all\", while no gateway runs. A file that is not complete is refused and nothing is\n" +
			"changed. What was there before is kept beside it. A backup of one site goes into the site of that\n" +
			"name, which must exist.",
		Example: "  nuage restore --data /var/lib/nuage nuage.tar",
		Args:    takes("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			if dir == "" {
				return cloud.Errorf(cloud.Usage, "the data directory is missing").WithHint("nuage restore --data DIR FILE")
			}
			return p.restore(dir, args[0])
		},
	}
	cmd.Flags().StringVar(&dir, "data", "", "data directory")
	return cmd
}

// restore changes nothing unless the backup is whole and no gateway runs.
func (p *program) restore(dir, file string) error {
	in, err := p.openBackup(file)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return cloud.Errorf(cloud.Invalid, "data directory %q cannot be made: %v", dir, errors.Unwrap(err))
	}
	from := bufio.NewReader(in)
	if head, _ := from.Peek(512); archive.Is(head) {
		return p.restoreAll(dir, from)
	}
	path := filepath.Join(dir, storeFile)
	if err := store.Restore(path, from); err != nil {
		return err
	}
	p.restored(path, path+store.BeforeRestore)
	return nil
}

// restored says what was put where, and where to find what was there.
func (p *program) restored(what, before string) {
	if _, err := os.Lstat(before); err == nil {
		fmt.Fprintf(p.stderr, "restored %s; what was there before is %s\n", what, before)
		return
	}
	fmt.Fprintf(p.stderr, "restored %s\n", what)
}

func (p *program) openBackup(file string) (io.ReadCloser, error) {
	if file == "-" {
		return io.NopCloser(p.stdin), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, cloud.Errorf(cloud.NotFound, "backup %q cannot be read: %v", file, errors.Unwrap(err))
	}
	return f, nil
}
