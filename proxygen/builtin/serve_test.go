package builtin_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
)

func TestServeDrains(t *testing.T) {
	t.Parallel()
	arrived, gate := make(chan bool), make(chan bool)
	w := newWorld(t)
	w.container(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "first ")
		w.(http.Flusher).Flush()
		arrived <- true
		<-gate
		fmt.Fprint(w, "last")
	})
	got := make(chan string)
	go func() {
		res, err := w.client().Get("http://blog.test/")
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		got <- fmt.Sprint(string(body), err)
	}()
	<-arrived
	stopped := make(chan error)
	go func() { stopped <- w.stop() }()
	eventually(t, "no new connections", func() bool {
		c, err := net.Dial("tcp", w.plain)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(gate)
	if body := <-got; body != "first last<nil>" {
		t.Errorf("the request under way got %q", body)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestServeCutsAfterGrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *builtin.Proxy) { p.Shorten(time.Minute, time.Second, time.Second, 50*time.Millisecond) })
	arrived := make(chan bool)
	w.container(func(_ http.ResponseWriter, r *http.Request) { arrived <- true; <-r.Context().Done() })
	failed := make(chan error)
	go func() {
		res, err := w.client().Get("http://blog.test/")
		if err == nil {
			res.Body.Close()
		}
		failed <- err
	}()
	<-arrived
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("the request was answered")
	}
	if n := w.sites.holding(); n != 0 {
		t.Errorf("Serve returned with %d requests under way", n)
	}
}

func TestServeOneListener(t *testing.T) {
	t.Parallel()
	for name, pick := range map[string]func(l net.Listener) (plain, secure net.Listener){
		"plain":  func(l net.Listener) (net.Listener, net.Listener) { return l, nil },
		"secure": func(l net.Listener) (net.Listener, net.Listener) { return nil, l },
		"none":   func(l net.Listener) (net.Listener, net.Listener) { l.Close(); return nil, nil },
	} {
		ca, err := builtin.OpenCA(t.TempDir(), time.Now)
		check(t, err)
		p := builtin.New(builtin.Options{Sites: &sites{}, Certificates: ca})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		plain, secure := pick(listen(t, "127.0.0.1:0"))
		go func() { ended <- p.Serve(ctx, plain, secure) }()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestServeReportsBrokenListener(t *testing.T) {
	t.Parallel()
	l := listen(t, "127.0.0.1:0")
	l.Close()
	other := listen(t, "127.0.0.1:0")
	ca, err := builtin.OpenCA(t.TempDir(), time.Now)
	check(t, err)
	if err := builtin.New(builtin.Options{Sites: &sites{}, Certificates: ca}).Serve(t.Context(), l, other); err == nil {
		t.Error("no error")
	}
	if _, err := other.Accept(); err == nil {
		t.Error("the other listener is still open")
	}
	if err := builtin.New(builtin.Options{Sites: &sites{}}).Serve(t.Context(), nil, listen(t, "127.0.0.1:0")); err == nil {
		t.Error("HTTPS without certificates")
	}
}

// bomb panics where a bug would.
type bomb struct{ *sites }

func (bomb) Hold(context.Context, string) (netip.AddrPort, func(), error) { panic("boom") }

func TestPanicHitsOneRequest(t *testing.T) {
	t.Parallel()
	p := builtin.New(builtin.Options{Sites: bomb{}})
	w := newWorld(t)
	check(t, p.Publish(t.Context(), []cloud.Route{{Host: "blog.test", SiteID: "s1", Type: cloud.PHP, State: cloud.Running}}))
	l := listen(t, "127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.Serve(ctx, l, nil) }()
	w.plain = l.Addr().String()
	w.get("http://blog.test/").want(t, 500, "Something broke")
	w.get("http://other.test/").want(t, 404, "other.test")
	cancel()
	check(t, <-ended)
}

func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish(cloud.Route{Host: "blog.test", Site: "blog.test", State: cloud.Stopped})
	text := w.get("http://new.test/")
	text.wantHeader(t, "Content-Type", "text/plain; charset=utf-8")
	if want := "404 No site here\n\nNo site is called \"new.test\" here.\n" +
		"hint: if the name should be yours, create it: ssh -p 2222 nuage.example site create new.test\n"; text.body != want {
		t.Errorf("got %q, want %q", text.body, want)
	}
	page := w.get("https://blog.test/", "Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
	page.want(t, 503, "<pre>ssh -p 2222 nuage.example site start blog.test</pre>")
	page.want(t, 503, "&#34;blog.test&#34; does not run")
	page.wantHeader(t, "Content-Type", "text/html; charset=utf-8")
	page.wantHeader(t, "Retry-After", "30")
	page.wantHeader(t, "Cache-Control", "no-store")
	for _, foreign := range []string{"http:", "https:", "src=", "url(", "<script"} {
		if strings.Contains(page.body, foreign) {
			t.Errorf("the page fetches something: %q", foreign)
		}
	}
	if a := w.do("HEAD", "http://new.test/"); a.StatusCode != 404 || a.body != "" || a.ContentLength <= 0 {
		t.Errorf("HEAD: %d %q length %d", a.StatusCode, a.body, a.ContentLength)
	}
}
