package caddy

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"os"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen"
)

// object is a part of Caddy's config (https://caddyserver.com/docs/json/).
type object map[string]any

// Render is the whole config of a Caddy for the routes: the same for the same routes and the same certificates.
func (o Options) Render(routes []cloud.Route) []byte { return o.render(routes, false) }

// render is Render; an old Caddy is one before 2.7.
func (o Options) render(routes []cloud.Route, old bool) []byte {
	plain, secure, certs := o.routes(routes)
	servers := object{}
	if o.HTTP != "" {
		s := o.server(o.HTTP, plain)
		s["logs"] = o.logs(routes, false, old)
		servers["nuage_http"] = s
	}
	if o.HTTPS != "" {
		s := o.server(o.HTTPS, secure)
		s["tls_connection_policies"] = certs.policies()
		s["logs"] = o.logs(routes, true, old)
		servers["nuage_https"] = s
	}
	config := object{
		"admin": object{"listen": o.Admin},
		"apps": object{
			"http": object{"servers": servers}, // what is under way over a change has all the time it takes: no grace_period
			"tls":  object{"certificates": object{"load_files": certs.files()}},
		},
	}
	if o.Hits != "" {
		config["logging"] = o.logging()
	}
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("render: %v", err)) // plain maps of strings
	}
	return text
}

// server is one listener. Caddy's own management of certificates and redirects is off: both are decided here.
func (o Options) server(addr string, routes []object) object {
	return object{
		"listen":              []string{addr},
		"routes":              routes,
		"automatic_https":     object{"disable": true},
		"protocols":           []string{"h1", "h2"},
		"read_header_timeout": proxygen.Seconds(o.Patience.Usual().Header),
		"idle_timeout":        "120s",
		"strict_sni_host":     true, // a connection is for the host that it was made for
		"max_header_bytes":    64 << 10,
	}
}

// logs names the logger of each host that leads straight to its container by its site; others have none. An old Caddy
// compares the Host header with its port.
func (o Options) logs(routes []cloud.Route, secure, old bool) object {
	names := object{}
	for _, r := range routes {
		if o.Hits == "" || !r.Straight(secure) {
			continue
		}
		names[r.Host] = r.SiteID
		if old {
			names[o.spellings(r.Host, secure)[1]] = r.SiteID
		}
	}
	return object{"logger_names": names, "skip_unmapped_hosts": true}
}

// spellings are those of a host that lead straight: Caddy finds the name of a logger by the letter. Who writes it otherwise, in
// capitals or with the port of something else, goes through the built-in proxy.
func (o Options) spellings(host string, secure bool) []string {
	addr := o.HTTP
	if secure {
		addr = o.HTTPS
	}
	_, port, _ := net.SplitHostPort(addr)
	return []string{host, host + ":" + port}
}

// routes are those of HTTP and of HTTPS: the hosts that lead straight to their containers, and everything else, to the
// built-in proxy.
func (o Options) routes(routes []cloud.Route) (plain, secure []object, certs certificates) {
	plain, secure = []object{}, []object{}
	for _, r := range routes {
		if r.Straight(false) {
			plain = append(plain, o.lead(r.Target.String(), o.spellings(r.Host, false)...))
		}
		if o.HTTPS == "" {
			continue
		}
		cert, key, ok := o.Certificate(r.Host)
		if !ok {
			continue // no certificate could be right for it
		}
		certs.add(cert, key, r.Host)
		if r.Straight(true) {
			secure = append(secure, o.lead(r.Target.String(), o.spellings(r.Host, true)...))
		}
	}
	challenge := o.lead(o.Builtin)
	challenge["match"] = []object{{"path": []string{"/.well-known/acme-challenge/*"}}}
	return append(append([]object{challenge}, plain...), o.lead(o.Builtin)), append(secure, o.lead(o.Builtin)), certs
}

// lead is the way of some hosts, or of all. What a client says of forwarding is not passed on, in whatever letters PHP
// would read it.
func (o Options) lead(to string, hosts ...string) object {
	route := object{
		"handle": []object{{"handler": "request_body", "max_size": o.Body}, {
			"handler":        "reverse_proxy",
			"upstreams":      []object{{"dial": to}},
			"flush_interval": flushAfter,
			"headers": object{"request": object{
				"delete": []string{"X_*", "Forwarded", "Proxy", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Ssl"},
				"set":    object{"X-Real-Ip": []string{"{http.request.remote.host}"}},
			}},
			"transport": object{
				"protocol": "http", "versions": []string{"1.1"}, "compression": false,
				"dial_timeout": "5s", "response_header_timeout": proxygen.Seconds(o.Patience.Usual().Silence),
				"max_response_header_size": answerHeader,
				"keep_alive":               object{"idle_timeout": "3s"},
			},
		}},
		"terminal": true,
	}
	if len(hosts) > 0 && o.Hits != "" {
		nameRequests(route)
	}
	if len(hosts) > 0 {
		route["match"] = []object{{"header": object{"Host": hosts}}}
	}
	return route
}

const (
	requestID = "X-Request-Id"
	// As the built-in proxy's. With -1, at once, a Caddy before 2.7 breaks off what is under way at each change, or panics, and
	// goes on with a container for visitors who have left.
	flushAfter   = "2ms"
	answerHeader = 256 << 10 // bytes of a container's, as with the built-in proxy: Caddy would take, and log, 10 MiB
)

// nameRequests gives each request its id, as the built-in proxy does for those that it takes.
func nameRequests(route object) {
	proxy := route["handle"].([]object)[1]
	headers := proxy["headers"].(object)
	headers["request"].(object)["set"].(object)[requestID] = []string{"{http.request.uuid}"}
	headers["response"] = object{"set": object{requestID: []string{"{http.request.uuid}"}}}
}

// certificates are the files of certificates, in the order of first use, and the hosts of each.
type certificates struct {
	order []string
	keys  map[string]string
	hosts map[string][]string
}

func (c *certificates) add(cert, key, host string) {
	if c.keys == nil {
		c.keys, c.hosts = map[string]string{}, map[string][]string{}
	}
	if _, ok := c.keys[cert]; !ok {
		c.order = append(c.order, cert)
		c.keys[cert] = key
	}
	c.hosts[cert] = append(c.hosts[cert], host)
}

func (c *certificates) files() []object {
	list := []object{}
	for _, cert := range c.order {
		list = append(list, object{"certificate": cert, "key": c.keys[cert], "tags": []string{tag(cert)}})
	}
	return list
}

// policies let a handshake through for the hosts that are here, and for no other.
func (c *certificates) policies() []object {
	list := []object{}
	for _, cert := range c.order {
		list = append(list, object{
			"match":                 object{"sni": c.hosts[cert]},
			"certificate_selection": object{"any_tag": []string{tag(cert)}},
			"protocol_min":          "tls1.2",
		})
	}
	if len(list) == 0 { // none at all would be a policy for all
		list = append(list, object{"match": object{"sni": []string{"nobody.invalid"}}})
	}
	return list
}

// tag changes when the file does: so does the config, and Caddy reads the file again.
func tag(cert string) string {
	stamp := ""
	if info, err := os.Stat(cert); err == nil {
		stamp = fmt.Sprint(info.ModTime().UnixNano(), info.Size())
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(cert+stamp)))[:16]
}

// adminURL is where the admin API listens.
func adminURL(addr, path string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "http://" + addr + path
	}
	return "http://" + net.JoinHostPort(host, port) + path
}
