package main

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strconv"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen"
	"plil.net/nuage/proxygen/builtin"
	"plil.net/nuage/proxygen/caddy"
	"plil.net/nuage/proxygen/nginx"
)

// web is where HTTP and HTTPS are served, host:port; "" for not at all.
type web struct{ http, https string }

// publisher is the built-in proxy, and the proxy outside where the config names one.
func (c config) publisher(proxy *builtin.Proxy, d *doors, certs certificates, body int64, hits proxygen.Hits, log *slog.Logger) cloud.Publisher {
	if d.behind == nil {
		return proxy
	}
	at, behind := d.outside, d.behind.Addr().String()
	if c.HTTP.Proxy == "nginx" {
		return both{proxy, nginx.New(c.nginx(at, behind, certs, body, log)), hits}
	}
	return both{proxy, caddy.New(c.caddy(at, behind, certs, body, log)), hits}
}

func (c config) nginx(at web, behind string, certs certificates, body int64, log *slog.Logger) nginx.Options {
	return nginx.Options{
		HTTP: at.http, HTTPS: at.https, Builtin: behind, Certificate: certs.files, Body: cmp.Or(body, builtin.DefaultBody),
		Program: c.Nginx.Program, Config: c.Nginx.Config, File: c.Nginx.File, Hits: c.Nginx.Hits, Log: log,
	}
}

func (c config) caddy(at web, behind string, certs certificates, body int64, log *slog.Logger) caddy.Options {
	return caddy.Options{
		HTTP: at.http, HTTPS: at.https, Builtin: behind, Certificate: certs.files, Body: cmp.Or(body, builtin.DefaultBody),
		Admin: c.Caddy.Admin, Hits: c.Caddy.Hits, Log: log,
	}
}

// both publishes to the proxy behind before the one in front, which leads to it.
type both struct {
	behind cloud.Publisher
	front  interface {
		cloud.Offering
		Follow(context.Context, proxygen.Hits)
	}
	hits proxygen.Hits
}

// run hears of the requests that the proxy in front takes straight to sites, until ctx ends.
func (b both) run(ctx context.Context) { b.front.Follow(ctx, b.hits) }

func (b both) Publish(ctx context.Context, routes []cloud.Route) error { return b.Offer(routes)(ctx) }

// Offer implements cloud.Offering: the proxy behind serves the table when it returns.
func (b both) Offer(routes []cloud.Route) (served func(context.Context) error) {
	if err := b.behind.Publish(context.Background(), routes); err != nil {
		return func(context.Context) error { return err }
	}
	return b.front.Offer(routes)
}

// checkOutside refuses addresses that a proxy outside could not be told.
func (c config) checkOutside() error {
	if c.HTTP.Proxy == "builtin" {
		return nil
	}
	if c.HTTP.Cert == "acme" && c.HTTP.Listen == "" && c.ACME.DNS == "" {
		return cloud.Errorf(cloud.Invalid, "http.cert = \"acme\" with http.proxy = %q needs http.listen or acme.dns", c.HTTP.Proxy).
			WithHint("the authority asks by plain HTTP, or by DNS")
	}
	for key, addr := range map[string]string{"http.listen": c.HTTP.Listen, "http.tls": c.HTTP.TLS} {
		if addr != "" && portOf(addr) == 0 {
			return cloud.Errorf(cloud.Invalid, "%s = %q names no port for %s", key, addr, c.HTTP.Proxy).WithHint(`write it like ":80"`)
		}
	}
	if at, err := netip.ParseAddrPort(c.HTTP.Behind); err != nil || !at.Addr().IsLoopback() {
		return cloud.Errorf(cloud.Invalid, "http.behind = %q is not an address of loopback with a port", c.HTTP.Behind).
			WithHint("what comes to it is believed to come from %s; write it like \"127.0.0.1:8019\"", c.HTTP.Proxy)
	}
	return nil
}

func portOf(addr string) int {
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		return 0
	}
	return n
}
