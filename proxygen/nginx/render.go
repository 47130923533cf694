package nginx

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"text/template"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen"
)

//go:embed nginx.conf.tmpl
var configText string

var configTemplate = template.Must(template.New("nginx.conf").Parse(configText))

// page is what the file says. Hosts that lead straight to their containers are lines of maps: nginx makes a server block,
// with a context of TLS each, 50 times slower than a line.
type page struct {
	Mark          string
	HTTP, HTTPS   []string // where to listen
	Builtin       string
	Body          int64
	Plain, Secure []straight
	Servers       []server
	Hits          string

	Header, Silence string // how long nginx waits
}

// straight is a host that leads to its container.
type straight struct{ Host, Target, Site string }

// server is one block: the hosts that share a certificate.
type server struct {
	Cert, Key string
	Names     []string
}

// Render is the file for the routes. It is the same for the same routes and the same certificates.
func (o Options) Render(routes []cloud.Route) []byte {
	page := page{HTTP: listens(o.HTTP), HTTPS: listens(o.HTTPS), Builtin: o.Builtin, Body: o.Body, Servers: o.servers(routes)}
	patience := o.Patience.Usual()
	page.Header, page.Silence = proxygen.Seconds(patience.Header), proxygen.Seconds(patience.Silence)
	if o.Hits != "" {
		page.Hits = quote(o.Hits)
	}
	for _, r := range routes {
		if o.HTTP != "" && r.Straight(false) {
			page.Plain = append(page.Plain, straight{r.Host, r.Target.String(), r.SiteID})
		}
		if o.HTTPS != "" && r.Straight(true) {
			page.Secure = append(page.Secure, straight{r.Host, r.Target.String(), r.SiteID})
		}
	}
	page.Mark = mark(fmt.Sprintf("%+v %v", page, stamps(page.Servers)))
	var b bytes.Buffer
	_ = configTemplate.Execute(&b, page) // a buffer takes it all; the tests render each branch
	return b.Bytes()
}

// usualHost is the longest host, in bytes, that a line of nginx's usual tables takes with "https:" before it. The tables
// stay as they are: nginx refuses a file that sets their size behind somebody else's map.
const usualHost = 40

// Key is how a map has the host, with what the map puts before it. nginx refuses the whole file for one host that is too
// long for a table, so those are expressions.
func (s straight) Key(before string) string {
	if len(s.Host) <= usualHost {
		return before + s.Host
	}
	return `"~^` + before + regexp.QuoteMeta(s.Host) + `$"`
}

// mark names a version of the config: a host that only it answers for.
func mark(of string) string {
	sum := sha256.Sum256([]byte(of))
	return fmt.Sprintf("nuage-%x.invalid", sum[:12])
}

// stamps change when the file of a certificate does, so that nginx reads it again.
func stamps(servers []server) (list []string) {
	for _, s := range servers {
		if info, err := os.Stat(strings.Trim(s.Cert, `"`)); err == nil {
			list = append(list, fmt.Sprint(info.ModTime().UnixNano(), info.Size()))
		}
	}
	return list
}

// servers are the blocks of HTTPS, one for each certificate. A host that could have none is served by HTTP only.
func (o Options) servers(routes []cloud.Route) (list []server) {
	if o.HTTPS == "" {
		return nil
	}
	known := map[string]int{}
	for _, r := range routes {
		cert, key, ok := o.Certificate(r.Host)
		if !ok {
			continue
		}
		at, ok := known[cert]
		if !ok {
			at = len(list)
			known[cert], list = at, append(list, server{Cert: quote(cert), Key: quote(key)})
		}
		list[at].Names = append(list[at].Names, r.Host)
	}
	return list
}

// listens are the addresses of a listener: without a host it is all, of IPv4 and of IPv6.
func listens(addr string) []string {
	host, port, err := net.SplitHostPort(addr)
	switch {
	case err != nil:
		return nil
	case host == "":
		return []string{port, "[::]:" + port}
	}
	return []string{net.JoinHostPort(host, port)}
}

// quote makes one word of a path.
func quote(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
}
