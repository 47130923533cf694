package provision

import (
	"context"
	"io"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"plil.net/nuage/cloud"
)

// Logs implements cloud.Engine. A follower whose ctx ends gets ctx's error.
func (d *Docker) Logs(ctx context.Context, id string, o cloud.LogOptions, stdout, stderr io.Writer) error {
	k, err := d.ours(ctx, id)
	if err != nil {
		return err
	}
	if k == nil {
		return cloud.Errorf(cloud.NotFound, "the site has no log: it has never run")
	}
	tail := "all"
	if o.Tail >= 0 {
		tail = strconv.Itoa(o.Tail)
	}
	r, err := d.api.ContainerLogs(ctx, k.ID, client.ContainerLogsOptions{
		ShowStdout: true, ShowStderr: true, Follow: o.Follow, Tail: tail,
	})
	if err != nil {
		return d.explain(err)
	}
	defer r.Close()
	_, err = stdcopy.StdCopy(stdout, stderr, r)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Watch implements cloud.Engine. It always returns an error. What Up, Down and Remove did is told too.
func (d *Docker) Watch(ctx context.Context, ready func(), changed func(id string, runs func() bool)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := d.Ping(ctx); err != nil {
		return err
	}
	stream := d.api.Events(ctx, client.EventsListOptions{
		// The daemon answers before it listens; asking for the last second closes that gap.
		Since:   strconv.FormatInt(time.Now().Unix()-1, 10),
		Filters: client.Filters{}.Add("type", "container").Add("event", "start", "die").Add("label", labelData+"="+d.Data),
	})
	select {
	case err := <-stream.Err:
		return d.explain(err)
	default:
		ready()
	}
	told := ends{}
	for {
		select {
		case m := <-stream.Messages:
			if told.known(m) {
				continue
			}
			if group := m.Actor.Attributes[labelGroup]; group != "" && m.Action == events.ActionStart {
				d.started(ctx, group, m.Actor.Attributes[labelSite])
			}
			id := m.Actor.Attributes[labelSite]
			changed(id, func() bool { return m.Action == events.ActionStart || d.runs(ctx, id) })
		case err := <-stream.Err:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return d.broken(err)
		}
	}
}

// ends are the containers that have ended, by their site. The daemon may tell the end of one many times: once for each who had asked
// to kill it.
type ends map[string]string

// known reports whether the end of a container was told before.
func (e ends) known(m events.Message) bool {
	site := m.Actor.Attributes[labelSite]
	if m.Action == events.ActionStart {
		delete(e, site)
		return false
	}
	known := e[site] == m.Actor.ID
	e[site] = m.Actor.ID
	return known
}

// runs reports whether the site's container runs by now; not, if the daemon does not say.
func (d *Docker) runs(ctx context.Context, id string) bool {
	k, err := d.ours(ctx, id)
	return err == nil && k != nil && k.State.Running
}

// broken is a stream that ended: the daemon has gone, whatever the words.
func (d *Docker) broken(err error) error {
	if errdefs.IsInvalidArgument(err) {
		return d.explain(err)
	}
	return cloud.Errorf(cloud.Unavailable, "the connection to the container engine broke").Because(err)
}
