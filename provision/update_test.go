package provision_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"plil.net/nuage/cloud"
	"plil.net/nuage/provision"
)

// name is the name of an image of the test's own, and what makes it lead to another, which works or ends at once.
func (l *lab) name(t *testing.T) (name string, lead func(works bool) (id string)) {
	t.Helper()
	name = fmt.Sprintf("nuage-%s/php:%d", l.group.Name, l.next.Add(1))
	var made []string
	t.Cleanup(func() {
		for _, id := range made {
			_, _ = l.api.ImageRemove(context.Background(), id, client.ImageRemoveOptions{Force: true})
		}
	})
	return name, func(works bool) string {
		program := fmt.Sprintf("exec /usr/lib/nuage/serve # %d", len(made))
		if !works {
			program = "echo my last words; exit 3"
		}
		made = append(made, l.variant(t, program, name))
		return made[len(made)-1]
	}
}

// count counts the containers of a site, under whatever name.
func (l *lab) count(t *testing.T, id string) int {
	t.Helper()
	found, err := l.api.ContainerList(t.Context(), client.ContainerListOptions{
		All: true, Filters: client.Filters{}.Add("label", "nuage.site="+id),
	})
	if err != nil {
		t.Fatal(err)
	}
	return len(found.Items)
}

// TestUpdateToOneThatAcceptsAndNeverAnswers: to accept connections is not enough for a new image.
func TestUpdateToOneThatAcceptsAndNeverAnswers(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	d := l.engine(t, provision.DockerOptions{Data: l.data, Ready: 15 * time.Second})
	s := l.spec(t, "deaf.plil.net")
	l.up(t, s)
	before := l.ImageID(t.Context(), "")
	if err := d.Down(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	s.Image = l.image(t, `echo my last words; exec php -r '$s = stream_socket_server("tcp://0.0.0.0:8080"); sleep(1000);'`)
	err := d.Update(t.Context(), s, func(string) bool { return true })
	var reverted *cloud.Reverted
	if !errors.As(err, &reverted) || !strings.Contains(reverted.Reason, "did not answer within 15s") || !strings.Contains(reverted.Cause.Error(), "my last words") {
		t.Errorf("update: %v", err)
	}
	if all, err := l.List(t.Context()); err != nil || len(all) != 1 || !all[0].Running || all[0].Image != before {
		t.Errorf("listed: %+v, %v", all, err)
	}
}

// TestOnlySoManyStartAtOnce: the next container starts when the one before answers. Each says itself when it comes to that:
// when the test hears of it is another matter.
func TestOnlySoManyStartAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	d := l.engine(t, provision.DockerOptions{Data: l.data, Starts: 1, Ready: time.Minute})
	slow := l.image(t, "sleep 0.5; touch /home/site/up; exec /usr/lib/nuage/serve")
	var starts sync.WaitGroup
	sites := make([]cloud.Spec, 4)
	for i := range sites {
		s := l.spec(t, fmt.Sprintf("many%d.plil.net", i))
		s.Image = slow
		sites[i] = s
		starts.Go(func() {
			if err := d.Up(t.Context(), sites[i]); err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	began, up := make([]time.Time, len(sites)), make([]time.Time, len(sites))
	for i, s := range sites {
		var err error
		if began[i], err = time.Parse(time.RFC3339Nano, l.started(t, s)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(s.Home, "up"))
		if err != nil {
			t.Fatal(err)
		}
		up[i] = info.ModTime()
	}
	for i := range sites {
		for j := range i {
			if began[i].Before(up[j]) && began[j].Before(up[i]) {
				t.Errorf("container %d began at %s and %d at %s, and they were up at %s and %s", i, began[i], j, began[j], up[i], up[j])
			}
		}
	}
}
