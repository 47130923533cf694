package builtin_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
)

// sleeper is a world whose site sleeps until its sites.asleep is closed.
func sleeper(t *testing.T, wakePage, wake time.Duration, changes ...func(*builtin.Proxy)) *world {
	t.Helper()
	w := newWorld(t, append(changes, func(p *builtin.Proxy) { p.Impatient(wakePage, wake) })...)
	w.sites.asleep = make(chan struct{})
	w.container(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("awake")) })
	w.publish(cloud.Route{Host: "blog.test", SiteID: "s1", Site: "blog.test", Type: cloud.PHP, State: cloud.Asleep})
	return w
}

// TestABrowserIsToldThatASiteWakes: by a page that asks again, while a program is held until the site is there.
func TestABrowserIsToldThatASiteWakes(t *testing.T) {
	t.Parallel()
	w := sleeper(t, time.Millisecond, time.Minute)
	program := make(chan answer)
	go func() { program <- w.get("http://blog.test/") }()

	a := w.get("http://blog.test/", "Accept", "text/html,*/*")
	a.want(t, http.StatusServiceUnavailable, "waking up")
	if a.Header.Get("Refresh") != "1" || a.Header.Get("Retry-After") != "1" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", a.Header)
	}
	close(w.sites.asleep)
	held := <-program
	held.want(t, http.StatusOK, "awake")
	eventually(t, "the browser is there too", func() bool { // unless the millisecond is over first
		a := w.get("http://blog.test/", "Accept", "text/html")
		return a.StatusCode == http.StatusOK && a.body == "awake"
	})
}

func TestAProgramIsNotHeldForEver(t *testing.T) {
	t.Parallel()
	w := sleeper(t, time.Minute, time.Millisecond)
	a := w.get("http://blog.test/")
	a.want(t, http.StatusServiceUnavailable, "waking up")
	if a.Header.Get("Retry-After") == "" || strings.Contains(a.body, "<html") {
		t.Errorf("header %v, body %q", a.Header, a.body)
	}
}

// noFollow is one request whose redirect is not followed.
func (w *world) noFollow(url string) answer {
	w.Helper()
	client := w.client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Get(url)
	if err != nil {
		w.Fatal(err)
	}
	res.Body.Close()
	return answer{Response: res}
}

// TestRedirectsKeepHTTPS: a container sees plain HTTP and may say so in a redirect.
func TestRedirectsKeepHTTPS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Location", r.URL.Query().Get("to"))
		rw.WriteHeader(http.StatusFound)
	})
	for _, c := range []struct{ scheme, to, want string }{
		{"https", "http://blog.test/a?b", "https://blog.test/a?b"},
		{"https", "http://other.test/", "http://other.test/"},
		{"https", "/a", "/a"},
		{"http", "http://blog.test/a", "http://blog.test/a"},
	} {
		a := w.noFollow(c.scheme + "://blog.test/?to=" + c.to)
		if got := a.Header.Get("Location"); got != c.want {
			t.Errorf("%s, %q: Location %q; want %q", c.scheme, c.to, got, c.want)
		}
	}
}

// TestRobotsWakeNothing: they are told to come again, and the site sleeps on.
func TestRobotsWakeNothing(t *testing.T) {
	t.Parallel()
	w := sleeper(t, time.Minute, time.Minute, func(p *builtin.Proxy) { p.Wakes(1, "examplebot") })
	a := w.get("http://blog.test/", "User-Agent", "Mozilla/5.0 (compatible; ExampleBot/2.1)", "Accept", "text/html")
	a.want(t, http.StatusServiceUnavailable, "asleep")
	if a.Header.Get("Retry-After") == "" || a.Header.Get("Refresh") != "" {
		t.Errorf("header %v", a.Header)
	}
	close(w.sites.asleep)
	w.get("http://blog.test/").want(t, http.StatusOK, "awake")
	w.get("http://blog.test/", "User-Agent", "ExampleBot").want(t, http.StatusServiceUnavailable, "asleep")
}

// TestOneClientWakesOnlySoMany sites in a minute; those that it woke are still its own to see.
func TestOneClientWakesOnlySoMany(t *testing.T) {
	t.Parallel()
	began, later := time.Now(), atomic.Int64{}
	w := sleeper(t, time.Minute, time.Minute, func(p *builtin.Proxy) {
		p.Wakes(2)
		p.Clock(func() time.Time { return began.Add(time.Duration(later.Load())) })
	})
	close(w.sites.asleep)
	var routes []cloud.Route
	for _, name := range []string{"a.test", "b.test", "c.test"} {
		w.sites.containers[name] = w.sites.containers["s1"]
		routes = append(routes, cloud.Route{Host: name, SiteID: name, Site: name, Type: cloud.PHP, State: cloud.Asleep})
	}
	w.publish(routes...)
	for range 3 {
		w.get("http://a.test/").want(t, http.StatusOK, "awake")
	}
	w.get("http://b.test/").want(t, http.StatusOK, "awake")
	a := w.get("http://c.test/")
	a.want(t, http.StatusTooManyRequests, "limit is 2")
	if a.Header.Get("Retry-After") == "" {
		t.Errorf("header %v", a.Header)
	}
	w.get("http://a.test/").want(t, http.StatusOK, "awake")
	later.Store(int64(time.Minute))
	w.get("http://c.test/").want(t, http.StatusOK, "awake")
}
