// Package provisiontest holds what every cloud.Engine must do. It is run on the fake and on a real Docker
// engine alike; what only one of them can show is tested beside it.
package provisiontest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// Harness is an engine to test, with what the suite cannot do through the interface.
type Harness struct {
	Engine cloud.Engine
	// Spec describes a new site of the given name with a home of its own, ready to come up. Its document
	// root is empty.
	Spec func(t *testing.T, name string) cloud.Spec
	// Die makes the site's container end by itself.
	Die func(t *testing.T, id string)
	// Say makes the site's container print a line.
	Say func(t *testing.T, id, line string)
	// Image makes an image of its own for a test, with a name that lead makes lead to another one. A container of one that
	// does not work ends at once.
	Image func(t *testing.T) (name string, lead func(works bool) (id string))
	// Containers counts what there is of a site, whatever its name.
	Containers func(t *testing.T, id string) int
	// Cut ends the goroutine that does the step of a site's update, as the end of the gateway would.
	Cut func(id, step string)
	// Bulk is how many bytes the tests of large streams move.
	Bulk int64
	// OnHost says that the files and ports of its sites are those of the host.
	OnHost bool
}

// Patience bounds every wait of the suite. A machine under load needs it; nothing waits for it to pass.
const Patience = 60 * time.Second

// Run runs the suite. new makes a Harness and cleans up after itself with t.Cleanup.
func Run(t *testing.T, new func(t *testing.T) Harness) {
	h := new(t)
	// An outer test, so that what the parallel ones share outlives them.
	t.Run("suite", func(t *testing.T) {
		for _, c := range slices.Concat(lifeTests, bareTests, updateTests, logTests, execTests, ttyTests, killTests, dialTests) {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(t, h)
			})
		}
	})
}

type test struct {
	name string
	run  func(t *testing.T, h Harness)
}

// up makes a site with a page that is its name, and brings it up.
func (h Harness) up(t *testing.T) cloud.Spec {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()))
	s := h.Spec(t, name[max(0, len(name)-40):]+".test.plil.net")
	Write(t, s, "www/index.html", s.ID)
	if err := h.Engine.Up(t.Context(), s); err != nil {
		t.Fatalf("up: %v (%v)", err, causeOf(err))
	}
	t.Cleanup(func() { _ = h.Engine.Remove(context.Background(), s.ID) })
	return s
}

func causeOf(err error) error {
	if e, ok := err.(*cloud.Error); ok {
		return e.Cause
	}
	return nil
}

// Write puts a file into the home of a site, as its uid if this process may.
func Write(t *testing.T, s cloud.Spec, name, content string) {
	t.Helper()
	path := filepath.Join(s.Home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(path, s.UID, s.UID); err != nil {
			t.Fatal(err)
		}
	}
}

// get asks the site for its front page.
func get(t *testing.T, s cloud.Spec) (string, error) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: Patience}
	r, err := client.Get(fmt.Sprintf("http://%s/", netip.AddrPortFrom(s.Address, cloud.WebPort)))
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}

// eventually polls until ok; what says what was waited for.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not so after %s: %s", Patience, what)
		}
	}
}

func (h Harness) find(t *testing.T, id string) (cloud.Container, bool) {
	t.Helper()
	all, err := h.Engine.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(c cloud.Container) bool { return c.ID == id })
	if i < 0 {
		return cloud.Container{}, false
	}
	return all[i], true
}

// result is what a program left behind.
type result struct {
	status         int
	stdout, stderr string
	err            error
}

// exec runs a shell command in the site.
func (h Harness) exec(ctx context.Context, s cloud.Spec, script string, stdin io.Reader) result {
	var stdout, stderr bytes.Buffer
	status, err := h.Engine.Exec(ctx, s.ID, cloud.Exec{
		Argv: []string{"/bin/sh", "-c", script}, Stdin: stdin, Stdout: &stdout, Stderr: &stderr,
	})
	return result{status, stdout.String(), stderr.String(), err}
}

func wantKind(t *testing.T, err error, kind cloud.Kind) {
	t.Helper()
	if cloud.KindOf(err) != kind {
		t.Errorf("kind %q of error %v, want %q", cloud.KindOf(err), err, kind)
	}
}
