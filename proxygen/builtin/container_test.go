package builtin_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// show is a container that answers with the request as it got it.
func show(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s\nHost: %s\n", r.Method, r.RequestURI, r.Host)
	_ = r.Header.Write(w)
	fmt.Fprintf(w, "\n%s", body)
}

func TestForwardsByHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(show)
	for _, url := range []string{"http://blog.test/a%2Fb/?x;y=1&z", "http://BLOG.test.:80/a%2Fb/?x;y=1&z", "https://blog.test/a%2Fb/?x;y=1&z"} {
		a := w.get(url, "Cookie", "a=b")
		a.want(t, 200, "GET /a%2Fb/?x;y=1&z\n")
		a.want(t, 200, "Cookie: a=b\r\n")
	}
	w.get("https://blog.test/").want(t, 200, "Host: blog.test\n")
	if a := w.get("https://blog.test/"); a.ProtoMajor != 2 {
		t.Errorf("HTTPS spoke %s, want HTTP/2", a.Proto)
	}
	eventually(t, "all released", func() bool { return w.sites.holding() == 0 })
	if w.sites.holds != 5 {
		t.Errorf("%d holds for 5 requests", w.sites.holds)
	}
}

func TestListensOnIPv6(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("no IPv6 on this host: %v", err) // nothing is promised of a host's network
	} else {
		l.Close()
	}
	w := newWorldOn(t, "[::1]:0")
	w.container(show)
	for _, scheme := range []string{"http", "https"} {
		a := w.get(scheme + "://blog.test/")
		a.want(t, 200, "X-Forwarded-For: ::1\r\n")
		a.want(t, 200, "X-Real-Ip: ::1\r\n")
	}
}

func TestForwardedHeadersAreOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(show)
	forged := []string{
		"X-Forwarded-For", "6.6.6.6", "X-Forwarded-Host", "evil", "X-Forwarded-Proto", "evil", "X-Forwarded-Port", "666",
		"Forwarded", "for=6.6.6.6", "X-Real-Ip", "6.6.6.6", "X_Forwarded_For", "6.6.6.6", "X_Real_Ip", "6.6.6.6",
		"Proxy", "http://6.6.6.6", "X-Forwarded-Prefix", "/666",
		"Connection", "X-Forwarded-For, X-Real-Ip",
	}
	for _, scheme := range []string{"http", "https"} {
		if scheme == "https" { // HTTP/2 has no Connection header
			forged = forged[:len(forged)-2]
		}
		lines := []string{"X-Forwarded-For: 127.0.0.1\r\n", "X-Forwarded-Host: blog.test\r\n",
			"X-Forwarded-Proto: " + scheme + "\r\n", "X-Real-Ip: 127.0.0.1\r\n"}
		a := w.get(scheme+"://blog.test/", forged...)
		for _, line := range lines {
			a.want(t, 200, line)
		}
		for _, lie := range []string{"6.6.6.6", "evil", "666"} {
			if strings.Contains(a.body, lie) {
				t.Errorf("%s: the container sees %q:\n%s", scheme, lie, a.body)
			}
		}
	}
}

func TestAnswersPassUnaltered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "" {
			t.Errorf("Accept-Encoding %q was added", got)
		}
		h := w.Header()
		h["Content-Type"] = nil
		if r.URL.Path == "/gzip" {
			h.Set("Content-Encoding", "gzip")
		}
		h.Add("Set-Cookie", "a=1")
		h.Add("Set-Cookie", "b=2")
		h.Set("Server", "Apache")
		h.Set("X-Forwarded-For", "mine")
		h.Set("Date", "Thu, 01 Jan 2026 00:00:00 GMT")
		w.WriteHeader(418)
		_, _ = io.WriteString(w, "<html>no gzip at all")
	})
	w.get("http://blog.test/gzip").wantHeader(t, "Content-Encoding", "gzip")
	a := w.get("http://blog.test/")
	a.want(t, 418, "<html>no gzip at all")
	a.wantHeader(t, "Server", "Apache")
	a.wantHeader(t, "X-Forwarded-For", "mine")
	a.wantHeader(t, "Date", "Thu, 01 Jan 2026 00:00:00 GMT")
	if got := fmt.Sprint(a.Header["Set-Cookie"]); got != "[a=1 b=2]" {
		t.Errorf("cookies %s", got)
	}
	if got, ok := a.Header["Content-Type"]; ok {
		t.Errorf("Content-Type %q was guessed", got)
	}
}
