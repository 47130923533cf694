package builtin

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"plil.net/nuage/cloud"
)

// page is an answer of our own: what is wrong, and what to do.
type page struct {
	Status  int
	Title   string
	Text    string
	Hint    string // what to do
	Command string // what to type for it
	Retry   int    // seconds; 0 says nothing
	Reload  bool   // a browser asks again by itself after a second
}

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

func (p *Proxy) unknown(host string) page {
	name, ok := normalHost(host)
	q := page{Status: http.StatusNotFound, Title: "No site here", Text: fmt.Sprintf("No site is called %q here.", host)}
	switch {
	case host == "":
		q.Text, q.Hint = "The request names no host.", "open the site by its name"
	case !ok || isAddress(name):
		q.Hint = "open the site by its name"
	default:
		if site, ok := p.domains.User(name); ok {
			q.Hint, q.Command = "if the name should be yours, create it", p.command("site create "+site)
		}
	}
	return q
}

func (p *Proxy) stopped(route cloud.Route) page {
	return page{Status: http.StatusServiceUnavailable, Title: "This site is stopped",
		Text: fmt.Sprintf("%q does not run at the moment.", route.Site),
		Hint: "if it is yours, start it", Command: p.command("site start " + route.Site), Retry: retryAfter}
}

func (p *Proxy) dead(route cloud.Route) page {
	return page{Status: http.StatusBadGateway, Title: "This site does not answer",
		Text: fmt.Sprintf("The web server of %q is down or broke off.", route.Site),
		Hint: "if it is yours, read why", Command: p.command("site logs " + route.Site)}
}

func (p *Proxy) interrupted(route cloud.Route) page {
	return page{Status: http.StatusServiceUnavailable, Title: "This site was stopped in between", Retry: interruptedRetry,
		Text: fmt.Sprintf("%q was stopped or restarted while it was at your request, which may have been done in part.", route.Site),
		Hint: "look whether it was before you send it again"}
}

func (p *Proxy) slow(route cloud.Route) page {
	return page{Status: http.StatusGatewayTimeout, Title: "This site takes too long",
		Text: fmt.Sprintf("%q has not answered for %s.", route.Site, p.silence),
		Hint: "if it is yours, read why", Command: p.command("site logs " + route.Site)}
}

// command is a line to type, "" if nobody knows our door.
func (p *Proxy) command(line string) string {
	if p.door.Host == "" {
		return ""
	}
	return p.door.SSH(line)
}

// show answers with a page: HTML for those who ask for it, as browsers do, and text for the others.
func (p *Proxy) show(x *exchange, q page) {
	var body bytes.Buffer
	h := x.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept")
	h.Set("X-Content-Type-Options", "nosniff")
	if q.Reload {
		h.Set("Refresh", "1")
	}
	if wantsHTML(x.request) {
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		_ = pageTemplate.Execute(&body, q) // a buffer takes it all; the tests show each page
	} else {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		q.writeText(&body)
	}
	if q.Retry > 0 {
		h.Set("Retry-After", strconv.Itoa(q.Retry))
	}
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	x.WriteHeader(q.Status)
	if x.request.Method != http.MethodHead {
		_, _ = x.Write(body.Bytes())
	}
}

func wantsHTML(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

func (q page) writeText(b *bytes.Buffer) {
	fmt.Fprintf(b, "%d %s\n\n%s\n", q.Status, q.Title, q.Text)
	switch {
	case q.Hint != "" && q.Command != "":
		fmt.Fprintf(b, "hint: %s: %s\n", q.Hint, q.Command)
	case q.Hint != "":
		fmt.Fprintf(b, "hint: %s\n", q.Hint)
	}
}
