// Command nuage is the gateway as one program: it reads the config, wires the rooms of the house together and
// serves. It holds no rule of its own; what may be done and how stands in the packages it wires.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"plil.net/nuage/cloud"
)

func main() {
	p := program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(p.run(os.Args[1:]))
}

// program is one run of nuage, with its own streams.
type program struct {
	stdin          *os.File
	stdout, stderr io.Writer
	// fault, if set, is called at each step of a create and a delete; tests end the process there.
	fault func(step string)
	// healAfter is how soon a site that died is started again; 0: as usual. Tests have no time.
	healAfter time.Duration
}

// exit is an error that only carries a status: all there was to say was said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func (p *program) run(args []string) (status int) {
	root := &cobra.Command{
		Use:           "nuage",
		Short:         "A website for everybody behind one SSH address",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				hint := "nuage --help"
				if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
					hint = "nuage " + near[0] + " --help"
				}
				return cloud.Errorf(cloud.Usage, "unknown command %q", args[0]).WithHint("%s", hint)
			}
			return cmd.Help()
		},
	}
	root.CompletionOptions.DisableDefaultCmd, root.SuggestionsMinimumDistance = true, 2
	root.SetArgs(args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return cloud.Errorf(cloud.Usage, "%v", err).WithHint("%s --help", cmd.CommandPath())
	})
	root.AddCommand(p.serveCommand(), p.ctlCommand(), p.restoreCommand(), p.proxygenCommand(), p.importCommand(), p.versionCommand())
	for _, c := range root.Commands() {
		c.DisableFlagsInUseLine = true // Use names them
	}
	return p.report(root.Execute())
}

// takes refuses other arguments than those that it names, and says what to type.
func takes(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return cloud.Errorf(cloud.Usage, "%s needs %s", cmd.Name(), names[len(args)]).WithHint("%s", cmd.UseLine())
		case len(args) > len(names):
			return cloud.Errorf(cloud.Usage, "%s takes no %q", cmd.Name(), args[len(names)]).WithHint("%s", cmd.UseLine())
		}
		return nil
	}
}

// report says on stderr why the program ends, and gives its status.
func (p *program) report(err error) int {
	var status exit
	if err == nil {
		return 0
	}
	if errors.As(err, &status) {
		return int(status)
	}
	if errors.Is(err, context.Canceled) {
		err = cloud.Errorf(cloud.Cancelled, "cancelled").Because(err)
	}
	fmt.Fprintf(p.stderr, "nuage: %v\n", err)
	var e *cloud.Error
	if !errors.As(err, &e) {
		return cloud.Internal.Exit()
	}
	if e.Hint != "" {
		fmt.Fprintf(p.stderr, "hint: %s\n", e.Hint)
	}
	return e.Kind.Exit()
}
