package builtin_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"plil.net/nuage/cloud"
)

func TestPublishLosesNoRequest(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	gate := make(chan bool)
	w := newWorld(t)
	w.container(func(w http.ResponseWriter, _ *http.Request) {
		arrived.Add(1)
		<-gate
		_, _ = io.WriteString(w, "done")
	})
	client := w.client()
	var all sync.WaitGroup
	var good atomic.Int32
	for range 100 {
		all.Go(func() {
			res, err := client.Get("http://blog.test/")
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if body, _ := io.ReadAll(res.Body); string(body) == "done" {
				good.Add(1)
			}
		})
	}
	eventually(t, "100 requests under way", func() bool { return arrived.Load() == 100 })
	for i := range 50 {
		w.publish(cloud.Route{Host: fmt.Sprintf("other%d.test", i), State: cloud.Running})
	}
	close(gate)
	all.Wait()
	if good.Load() != 100 {
		t.Errorf("%d of 100 requests were answered", good.Load())
	}
	w.get("http://blog.test/").want(t, 404, "No site")
}

func TestPublishLeavesOutTheBad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	err := w.proxy.Publish(t.Context(), []cloud.Route{
		{Host: "a.test", Site: "a.test", State: cloud.Stopped}, {Host: "A.test.", Site: "thief", State: cloud.Stopped},
		{Host: "", Site: "none"}, {Host: "b.test", Site: "b.test", State: cloud.Stopped},
	})
	if err == nil || !strings.Contains(err.Error(), `"thief"`) || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("error %v", err)
	}
	w.get("http://a.test/").want(t, 503, `"a.test"`)
	w.get("http://b.test/").want(t, 503, `"b.test"`)
}
