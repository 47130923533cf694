package builtin_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
)

// resting is a world of the sites a.test and b.test, of which one at a time begins to answer. Their container is asked by
// asked, and answers what is sent to answer.
func resting(t *testing.T, limit time.Duration, changes ...func(*builtin.Proxy)) (w *world, asked chan string, answer chan string) {
	t.Helper()
	w = newWorld(t, append(changes, func(p *builtin.Proxy) { p.Stir(1, limit); p.Impatient(time.Millisecond, time.Minute) })...)
	asked, answer = make(chan string, 100), make(chan string)
	w.container(func(rw http.ResponseWriter, r *http.Request) {
		asked <- r.Host
		select {
		case text := <-answer:
			_, _ = rw.Write([]byte(text))
		case <-r.Context().Done():
		case <-time.After(20 * time.Second): // a test that fails shall end
		}
	})
	var routes []cloud.Route
	for _, name := range []string{"a.test", "b.test"} {
		w.sites.containers[name] = w.sites.containers["s1"]
		routes = append(routes, cloud.Route{Host: name, SiteID: name, Site: name, Type: cloud.PHP, State: cloud.Running})
	}
	w.publish(routes...)
	return w, asked, answer
}

func (w *world) getting(url string) chan answer {
	got := make(chan answer, 1)
	go func() { got <- w.get(url) }()
	return got
}

// TestSitesAtRestBeginInTurn: the visitors of one wait while another begins; those of a site that has begun do not.
func TestSitesAtRestBeginInTurn(t *testing.T) {
	t.Parallel()
	var later atomic.Int64
	w, asked, reply := resting(t, time.Hour, func(p *builtin.Proxy) {
		began := time.Now()
		p.Clock(func() time.Time { return began.Add(time.Duration(later.Load())) })
	})
	for range 2 { // the second time after a rest
		first := w.getting("http://a.test/")
		if host := <-asked; host != "a.test" {
			t.Fatalf("%s is asked", host)
		}
		second := w.getting("http://a.test/")
		if host := <-asked; host != "a.test" {
			t.Fatalf("%s is asked", host)
		}
		other := w.getting("http://b.test/")
		a := w.get("http://b.test/", "Accept", "text/html")
		a.want(t, http.StatusServiceUnavailable, "waking up")
		if a.Header.Get("Retry-After") != "1" || a.Header.Get("Refresh") != "1" {
			t.Errorf("header %v", a.Header)
		}
		if len(asked) > 0 {
			t.Fatal("both begin at once")
		}
		reply <- "a"
		reply <- "a"
		(<-first).want(t, http.StatusOK, "a")
		(<-second).want(t, http.StatusOK, "a")
		if host := <-asked; host != "b.test" {
			t.Fatalf("%s is asked", host)
		}
		reply <- "b"
		(<-other).want(t, http.StatusOK, "b")
		later.Add(int64(time.Minute))
	}
}

// TestOneThatIsSlowHoldsUpNobody for longer than its limit.
func TestOneThatIsSlowHoldsUpNobody(t *testing.T) {
	t.Parallel()
	w, asked, reply := resting(t, 50*time.Millisecond)
	slow := w.getting("http://a.test/")
	<-asked
	other := w.getting("http://b.test/")
	if host := <-asked; host != "b.test" {
		t.Fatalf("%s is asked", host)
	}
	reply <- "done"
	reply <- "done"
	(<-slow).want(t, http.StatusOK, "done")
	(<-other).want(t, http.StatusOK, "done")
	eventually(t, "all released", func() bool { return w.sites.holding() == 0 })
}
