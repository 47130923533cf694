package builtin_test

import (
	"net/http"
	"testing"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
)

func TestRedirects(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *builtin.Proxy) {
		p.SetDoor(cloud.Door{Host: "nuage.example", SSHPort: 22, HTTPPort: 80, HTTPSPort: 443})
	})
	w.static(map[string]string{"index.html": "home"})
	route := func(host, main string, secure bool) cloud.Route {
		return cloud.Route{Host: host, SiteID: "s2", Site: "page.test", Type: cloud.Static, State: cloud.Running, Root: "www", Main: main, Secure: secure}
	}
	w.publish(route("page.test", "www.example.org", true), route("www.example.org", "", true), route("plain.test", "www.example.org", false), route("open.test", "", false))
	for from, to := range map[string]string{
		"http://www.example.org/a%2fb?c=d&e": "https://www.example.org/a%2fb?c=d&e",
		"http://page.test/":                  "https://www.example.org/",
		"https://page.test//evil.example/":   "https://www.example.org//evil.example/",
		"http://plain.test/x":                "http://www.example.org/x",
		"https://plain.test/x":               "https://www.example.org/x",
	} {
		a := w.get(from)
		a.want(t, http.StatusMovedPermanently, "")
		a.wantHeader(t, "Location", to)
	}
	a := w.do(http.MethodPost, "http://page.test/form")
	a.want(t, http.StatusPermanentRedirect, "")
	w.get("https://www.example.org/").want(t, http.StatusOK, "home")
	w.get("http://open.test/").want(t, http.StatusOK, "home")
}
