package command

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"
)

// TestAStuckTerminalHoldsNoSite: whoever takes no output must not keep a site's lock.
func TestAStuckTerminalHoldsNoSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keys, _ := io.Pipe() // nobody types
	reader, screen := io.Pipe()
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Run(ctx, Call{Cloud: w.Cloud, Who: w.who["alice"], Stdin: keys, Stdout: screen, Stderr: screen, TTY: true}, "site create stuck")
	}()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		status, out, _ := w.run(t, "alice", "site info stuck --json", "")
		if status == 0 && strings.Contains(out, `"running"`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the site waits for the screen: %d %s", status, out)
		}
	}
	w.must(t, "alice", "site delete stuck --yes")
	leave()
	reader.Close()
	keys.Close()
	<-ended
}
