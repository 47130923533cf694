// Package caddy lets a Caddy of the host serve the routes: it loads its whole config through the admin API, so that
// Caddy is nuage's alone. It starts no Caddy. Sites that may sleep, static sites and redirects go through the
// built-in proxy, so that nothing is decided twice.
package caddy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen"
)

const (
	loadEvery = time.Second      // at most
	adminTime = 20 * time.Second // for an answer of the admin API
	maxWords  = 4096             // bytes of what Caddy says
)

// Options are what a publisher is made of.
type Options struct {
	HTTP, HTTPS string // where Caddy listens, host:port; empty: not at all
	Builtin     string // where the built-in proxy listens on loopback
	Body        int64  // bytes that the body of a request may have
	// Certificate names the files of the certificate for a host. Caddy has to be able to read them.
	Certificate func(host string) (cert, key string, ok bool)

	Admin string // where the admin API listens, host:port
	Hits  string // where Caddy tells of what it takes straight to containers; "" for nowhere

	Patience proxygen.Patience // a body may stand still for longer: Caddy bounds none without bounding it as a whole
	Log      *slog.Logger
}

// Publisher is a Caddy.
type Publisher struct {
	Options
	client http.Client
	queue  proxygen.Queue
	served []byte // the config that Caddy took last
	old    bool   // it is older than 2.7, which cuts WebSockets at each change
}

var _ cloud.Offering = (*Publisher)(nil)

// New makes a publisher.
func New(o Options) *Publisher {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &Publisher{Options: o, client: http.Client{Timeout: adminTime, Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil}}}
	p.queue = proxygen.Queue{Every: loadEvery, Same: p.same, Write: p.write}
	return p
}

// Publish implements cloud.Publisher.
func (p *Publisher) Publish(ctx context.Context, routes []cloud.Route) error {
	return p.Offer(routes)(ctx)
}

// Offer implements cloud.Offering. Any number of changes that wait are loaded as one. A config that would not change is
// loaded only if Caddy has lost it, as it does when it starts again. Unavailable, with Caddy's words in the log, where it
// refuses the config; it then goes on with the one before.
func (p *Publisher) Offer(routes []cloud.Route) (served func(context.Context) error) {
	return p.queue.Offer(routes)
}

func (p *Publisher) same(routes []cloud.Route) bool {
	text := p.Render(routes)
	return bytes.Equal(p.served, text) && !p.forgot(text)
}

func (p *Publisher) write(routes []cloud.Route) error {
	text := p.Render(routes)
	if err := p.load(routes, text); err != nil {
		return err
	}
	p.served = text
	return nil
}

// forgot asks Caddy whether it has another config than ours. A Caddy that is away has forgotten nothing yet: a site that
// wakes must not fail for it.
func (p *Publisher) forgot(text []byte) bool {
	body, status, err := p.ask(http.MethodGet, "/id/"+id(text), nil)
	if err != nil {
		p.Log.Warn("caddy is away", "admin", p.Admin, "err", err)
		return false
	}
	return status != http.StatusOK || len(body) == 0
}

// load gives Caddy a config, under a name that tells it from others: that of a Caddy of today first. Caddy answers once it
// serves by it.
func (p *Publisher) load(routes []cloud.Route, text []byte) error {
	if !p.old {
		body, status, err := p.ask(http.MethodPost, "/load", named(text, lasting(text)))
		if p.old = err == nil && status == http.StatusBadRequest && bytes.Contains(body, []byte(lastingKey)); !p.old {
			return p.loaded(body, status, err)
		}
	}
	return p.loaded(p.ask(http.MethodPost, "/load", named(text, p.render(routes, true))))
}

func named(text, config []byte) []byte {
	return append(fmt.Appendf(nil, "{\n  \"@id\": %q,", id(text)), bytes.TrimPrefix(config, []byte("{"))...)
}

// loaded is what Caddy's answer means.
func (p *Publisher) loaded(body []byte, status int, err error) error {
	switch {
	case err != nil:
		p.Log.Error("caddy does not answer", "admin", p.Admin, "err", err)
		return unavailable("it does not answer", err)
	case status != http.StatusOK:
		words := strings.TrimSpace(string(body))
		p.Log.Error("caddy refuses the config", "status", status, "says", words)
		return unavailable("it refuses the change", errors.New(words))
	}
	return nil
}

const lastingKey = "stream_close_delay"

// lasting has a Caddy that can (2.7 or newer) keep WebSockets open over a change, for a day at most.
func lasting(config []byte) []byte {
	const before = `"handler": "reverse_proxy",`
	return bytes.ReplaceAll(config, []byte(before), []byte(before+` "`+lastingKey+`": "24h",`))
}

func id(text []byte) string { return fmt.Sprintf("nuage-%x", sha256.Sum256(text))[:24] }

func (p *Publisher) ask(method, path string, body []byte) (answer []byte, status int, err error) {
	r, err := http.NewRequest(method, adminURL(p.Admin, path), bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := p.client.Do(r)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, maxWords))
	return answer, res.StatusCode, err
}

func unavailable(what string, cause error) error {
	return cloud.Errorf(cloud.Unavailable, "the proxy (caddy) does not take the change: %s", what).
		WithHint("try again, or tell your admin; why is in the gateway's log").Because(cause)
}
