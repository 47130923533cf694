package main

import (
	"bytes"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"plil.net/nuage/accesslog"
	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
	"plil.net/nuage/provision"
	"plil.net/nuage/proxygen/builtin"
)

// config is the config file. Its keys are a contract; docs/config.md lists them.
type config struct {
	Data   string `toml:"data"`
	Domain string `toml:"domain"`
	SSH    struct {
		Listen string `toml:"listen"`
		Host   string `toml:"host"` // the name people type; the domain if empty

		UserCA  []string `toml:"user_ca"` // files of the keys whose user certificates let in
		Revoked string   `toml:"revoked"` // a file of certificates that are no longer good

		Trusted     []string `toml:"trusted"`      // networks whose connections earn no penalties
		MaxStartups string   `toml:"max_startups"` // START:RATE:FULL
		MaxLogins   int      `toml:"max_logins"`   // of an account in a minute
		Idle        string   `toml:"idle"`         // of sessions
		KeepAlive   string   `toml:"keepalive"`    // of silence, before a client is asked whether it is there
	} `toml:"ssh"`
	HTTP struct {
		Listen string         `toml:"listen"`
		TLS    string         `toml:"tls"`
		Cert   string         `toml:"cert"`
		Files  []builtin.Pair `toml:"files"`
		Proxy  string         `toml:"proxy"`
		Behind string         `toml:"behind"` // where the built-in proxy listens behind another

		HTTP3         bool     `toml:"http3"`
		AccessLog     string   `toml:"access_log"` // a size
		MaxBody       string   `toml:"max_body"`   // a size
		MaxPerClient  int      `toml:"max_per_client"`
		MaxPerSite    int      `toml:"max_per_site"`
		MaxWakes      int      `toml:"max_wakes"`
		ProxyProtocol []string `toml:"proxy_protocol"` // addresses and networks
	} `toml:"http"`
	ACME  acmeConfig `toml:"acme"`
	Nginx struct {
		Program string `toml:"program"`
		Config  string `toml:"config"`
		File    string `toml:"file"`
		Hits    string `toml:"access_log"` // a file
	} `toml:"nginx"`
	Caddy struct {
		Admin string `toml:"admin"`
		Hits  string `toml:"access_log"` // a file
	} `toml:"caddy"`
	DNS struct {
		Resolver  string   `toml:"resolver"`  // host:port; the system's if empty
		Addresses []string `toml:"addresses"` // at which the web finds us
	} `toml:"dns"`
	Engine struct {
		Kind  string `toml:"kind"`
		Host  string `toml:"host"`
		Idle  string `toml:"idle"`
		Image string `toml:"image"`
		Spare string `toml:"spare"` // a size: memory of the host below which sites go to sleep

		Robots []string `toml:"robots"` // words in the User-Agent of who wakes no site
	} `toml:"engine"`
	Images       map[string]string      `toml:"images"` // that sites may choose, by name
	OIDC         *oidcConfig            `toml:"oidc"`
	Audit        auditConfig            `toml:"audit"`
	Metrics      metricsConfig          `toml:"metrics"`
	DefaultGroup string                 `toml:"default_group"` // "students", else the first
	Groups       map[string]groupConfig `toml:"groups"`
}

// defaults make "nuage serve --data DIR" work at once. deploy/nuage.toml and docs/config.md tell them to people; a test
// holds both against these.
func defaults() config {
	var c config
	c.Data, c.Domain = "/var/lib/nuage", "localhost"
	c.SSH.Listen, c.SSH.KeepAlive, c.SSH.Idle = ":22", "15s", "never"
	c.SSH.MaxStartups, c.SSH.MaxLogins = gateway.DefaultStartups.String(), 120
	c.Audit.Keep = "365d"
	c.HTTP.Listen, c.HTTP.TLS, c.HTTP.Cert, c.HTTP.Proxy = ":80", ":443", "internal", "builtin"
	c.HTTP.AccessLog, c.HTTP.MaxBody = cloud.FormatSize(accesslog.DefaultSize), cloud.FormatSize(builtin.DefaultBody)
	c.HTTP.MaxPerClient, c.HTTP.MaxPerSite, c.HTTP.MaxWakes = builtin.DefaultPerClient, builtin.DefaultPerSite, builtin.DefaultWakes
	c.HTTP.Behind, c.Caddy.Admin = "127.0.0.1:8019", "localhost:2019"
	c.ACME.RFC2136.Algorithm = "hmac-sha256"
	c.Nginx.Program, c.Nginx.File = "nginx", "/etc/nginx/conf.d/nuage.conf"
	c.Nginx.Hits, c.Caddy.Hits = "/var/log/nginx/nuage.log", "/var/log/caddy/nuage.log"
	c.Engine.Kind, c.Engine.Image, c.Engine.Idle, c.Engine.Spare = "auto", provision.StandardImage, "30m", "64MiB"
	c.Engine.Robots = []string{
		"AhrefsBot", "bingbot", "Bytespider", "CCBot", "ClaudeBot", "DotBot", "facebookexternalhit", "Googlebot",
		"GPTBot", "MJ12bot", "PetalBot", "SemrushBot", "UptimeRobot", "YandexBot",
	}
	return c
}

// readConfig reads a config file over the defaults. Keys it does not know are refused with file and line.
func readConfig(path string) (config, error) {
	c := defaults()
	if path == "" {
		return c, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return c, cloud.Errorf(cloud.Invalid, "config %q cannot be read: %v", path, errors.Unwrap(err)).WithHint("name it with --config FILE")
	}
	decoder := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return c, configError(path, err)
	}
	return c, nil
}

func configError(path string, err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		first := unknown.Errors[0]
		line, _ := first.Position()
		return cloud.Errorf(cloud.Invalid, "%s:%d: unknown key %q", path, line, strings.Join(first.Key(), ".")).
			WithHint("the keys are listed in docs/config.md")
	}
	var syntax *toml.DecodeError
	if errors.As(err, &syntax) {
		line, _ := syntax.Position()
		return cloud.Errorf(cloud.Invalid, "%s:%d: %s", path, line, strings.TrimPrefix(syntax.Error(), "toml: "))
	}
	return cloud.Errorf(cloud.Invalid, "%s: %v", path, err)
}

// check refuses values that are not known.
func (c config) check() error {
	for _, k := range []struct {
		key, value string
		known      []string
	}{
		{"http.cert", c.HTTP.Cert, []string{"internal", "files", "acme"}},
		{"http.proxy", c.HTTP.Proxy, []string{"builtin", "nginx", "caddy"}},
		{"engine.kind", c.Engine.Kind, []string{"auto", "docker", "none"}},
	} {
		if !slices.Contains(k.known, k.value) {
			return cloud.Errorf(cloud.Invalid, "%s = %q is not known", k.key, k.value).
				WithHint("it is one of %s", strings.Join(k.known, ", "))
		}
	}
	if c.HTTP.Listen == "" && c.HTTP.TLS == "" {
		return cloud.Errorf(cloud.Invalid, "http.listen and http.tls are both empty").WithHint(`set one, like listen = ":80"`)
	}
	return firstError(c.checkOutside(), c.checkEngine(), checkDomain("domain", c.Domain))
}

// checkEngine refuses a word that is in every User-Agent, so that nobody would wake a site, and images that nobody can choose.
func (c config) checkEngine() error {
	for _, word := range c.Engine.Robots {
		if strings.TrimSpace(word) == "" {
			return cloud.Errorf(cloud.Invalid, "engine.robots has an empty word: all visitors would be robots").
				WithHint("take it out; robots = [] if robots may wake sites too")
		}
	}
	for name, image := range c.Images {
		if name == "" || image == "" {
			return cloud.Errorf(cloud.Invalid, "images: %q = %q is not a name and an image", name, image).
				WithHint(`write it like "8.4" = "nuage/php:8.4"`)
		}
	}
	return nil
}

var domainName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

func checkDomain(key, name string) error {
	if len(name) <= 189 && domainName.MatchString(name) { // 253 of a name, less a label
		return nil
	}
	return cloud.Errorf(cloud.Invalid, "%s = %q is not a domain name", key, name).WithHint(`write it like "plil.net"`)
}
