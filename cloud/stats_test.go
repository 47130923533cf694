package cloud

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 9, 12, 0, 0, 0, time.UTC)
	r := newReport("a.test", start)
	for _, h := range []Hit{
		{Time: start, Client: "1", Path: "/", Status: 200, Bytes: 10},
		{Time: start.Add(time.Minute), Client: "1", Path: "/?q=1", Status: 304},
		{Time: start.Add(time.Minute), Client: "1", Path: "/style.css", Status: 200, Bytes: 5},
		{Time: start.Add(time.Minute), Client: "1", Agent: "other", Path: "/a.php", Status: 302},
		{Time: start.Add(time.Minute), Client: "2", Path: "/wp-login.php", Status: 404},
		{Time: start.Add(2 * time.Minute), Dropped: 7},
		{Time: start.Add(time.Hour), Client: "1", Path: "/", Status: 500},
	} {
		if err := r.add(h); err != nil {
			t.Fatal(err)
		}
	}
	s := r.stats()
	got := fmt.Sprint(s.First.Equal(start), s.Visits, s.Requests, s.Bytes, s.Codes, s.Pages, s.Missed, s.Dropped)
	if want := "true 4 13 15 map[200:2 302:1 304:1 404:1 500:1] [{/ 2} {/a.php 1}] [{/wp-login.php 1}] 7"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestReportIsBounded: a flood of made-up paths and addresses takes bounded memory and hides no frequent page.
func TestReportIsBounded(t *testing.T) {
	t.Parallel()
	r := newReport("a.test", time.Time{})
	const n = 8 * maxVisitors
	for i := range n {
		path := fmt.Sprintf("/made-up-%d", i)
		if i%10 == 0 {
			path = "/real"
		}
		_ = r.add(Hit{Time: time.Unix(int64(i/1000), 0), Client: fmt.Sprint(i), Path: path, Status: 200})
	}
	if len(r.pages) > maxCounted || len(r.visitors.seen) > maxVisitors {
		t.Errorf("%d paths and %d visitors are kept", len(r.pages), len(r.visitors.seen))
	}
	top := r.stats().Pages
	if len(top) == 0 || len(top) > topPaths || top[0].Path != "/real" || top[0].Count < n/10-n/maxCounted || top[0].Count > n/10 {
		t.Errorf("the most asked pages are %v", top)
	}
	if r.sum.Visits != n {
		t.Errorf("%d visits of %d visitors", r.sum.Visits, n)
	}
}

func TestNoAccessLog(t *testing.T) {
	t.Parallel()
	if err := (noHits{}).Read(context.Background(), "", HitFilter{}, nil); KindOf(err) != Unavailable {
		t.Errorf("got %v", err)
	}
}
