package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const maxSites = 4

// person is one who works with the real ssh and sftp, and keeps a ledger of what was acknowledged.
type person struct {
	s      *stage
	name   string
	dir    string // of keys and files to upload
	chance *rand.Rand
	number int // of things made so far

	sites  map[string]*claim // by full name
	keys   map[string]string // fingerprint, with the line of the key
	acks   map[string]int    // action and target, as the audit has them
	doubts []doubt           // what may be done or not
	silent bool              // an answer stayed out: the gateway is gone
}

// claim is a site that was acknowledged.
type claim struct {
	kind    string            // php or static
	stopped bool              // by its owner
	secret  string            // "" until its page is up
	files   map[string][]byte // below the home
}

// doubt is a request whose answer never came, or that was cut by an engine that went away: before or after it is both
// right.
type doubt struct {
	what        string // create, delete, file, swap, key, unkey, stop, start
	site        string
	kind        string
	path        string
	content     []byte
	secret      string
	fingerprint string
	line        string
}

func newPerson(s *stage, n int) (*person, error) {
	p := &person{s: s, name: fmt.Sprintf("person%d", n), dir: fmt.Sprintf("%s/person%d", s.dir, n), chance: rand.New(rand.NewPCG(s.seed, uint64(n+1))),
		sites: map[string]*claim{}, keys: map[string]string{}, acks: map[string]int{}}
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		return nil, err
	}
	line, fingerprint, err := p.makeKey("own")
	if err != nil {
		return nil, err
	}
	if _, err := s.ctl(line, "account", "add", p.name, "--key", "-"); err != nil {
		return nil, err
	}
	p.keys[fingerprint] = line
	return p, p.configure()
}

func (p *person) makeKey(name string) (line, fingerprint string, err error) {
	file := p.dir + "/" + name
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", file).CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("ssh-keygen: %w: %s", err, out)
	}
	public, err := os.ReadFile(file + ".pub")
	if err != nil {
		return "", "", err
	}
	out, err := exec.Command("ssh-keygen", "-lf", file+".pub").Output()
	if err != nil {
		return "", "", err
	}
	return string(public), strings.Fields(string(out))[1], nil
}

// configure writes the config of the clients, once the port is known.
func (p *person) configure() error {
	text := fmt.Sprintf("Host nuage\nHostName 127.0.0.1\nPort %s\nUser %s\nIdentityFile %s/own\nIdentitiesOnly yes\nIdentityAgent none\nStrictHostKeyChecking accept-new\n"+
		"UserKnownHostsFile %s/hosts\nHostKeyAlias nuage\nLogLevel ERROR\nBatchMode yes\nServerAliveInterval 5\n", p.s.ssh, p.name, p.dir, p.dir)
	return os.WriteFile(p.dir+"/ssh", []byte(text), 0o600)
}

// outcome is how a client ended.
type outcome struct {
	status int // 255: no answer came
	stderr string
	stdout string
}

func (p *person) client(stdin string, args ...string) outcome {
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], append([]string{"-F", p.dir + "/ssh"}, args[1:]...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var e *exec.ExitError
	switch {
	case err == nil:
		return outcome{0, said.String(), out.String()}
	case ctx.Err() != nil:
		p.s.tally.add("clients that hung", 1)
		return outcome{255, "hung", ""}
	case errors.As(err, &e) && e.ExitCode() >= 0:
		return outcome{e.ExitCode(), said.String(), out.String()}
	}
	return outcome{255, err.Error(), ""}
}

func (p *person) ask(stdin string, words ...string) outcome {
	return p.client(stdin, append([]string{"ssh", "nuage"}, words...)...)
}

// work does one thing after the other until ctx ends or an answer stays out.
func (p *person) work(ctx context.Context) {
	for ctx.Err() == nil && !p.silent {
		p.step()
	}
}

// about is what is in doubt about a site or a key; nothing if what is "".
func (p *person) about(thing string) doubt {
	for _, d := range p.doubts {
		if d.site == thing || d.fingerprint == thing {
			return d
		}
	}
	return doubt{}
}

// step does one thing.
func (p *person) step() {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(p.sites)), func(name string) bool { return p.about(name).what != "" })
	if len(names) == 0 && len(p.sites) >= maxSites {
		time.Sleep(10 * time.Millisecond)
		return
	}
	any := func() string { return names[p.chance.IntN(len(names))] }
	roll := p.chance.IntN(100)
	switch {
	case len(names) == 0, roll < 14 && len(p.sites) < maxSites:
		p.create()
	case roll < 22:
		p.delete(any())
	case roll < 50:
		p.upload(any())
	case roll < 62:
		p.swap(any())
	case roll < 70 && len(p.keys) < 6:
		p.addKey()
	case roll < 74 && len(p.keys) > 1:
		p.removeKey()
	case roll < 78:
		p.halt(any())
	case roll < 84:
		p.begin(any())
	default:
		p.look(any())
	}
}

// end notes how a request ended: acknowledged, refused, or in doubt.
func (p *person) end(o outcome, d doubt, action, target string) (ok bool) {
	switch {
	case o.status == 0:
		p.s.tally.add("acknowledged: "+d.what, 1)
		if action != "" {
			p.acks[action+" "+target]++
		}
		return true
	case o.status == 255, o.status == 1 && (d.what == "file" || d.what == "swap"): // sftp says no more
		p.doubts = append(p.doubts, d)
		p.silent = o.status == 255
		p.s.note(d.what, o)
		p.s.tally.add("in doubt: "+d.what, 1)
		return false
	}
	p.s.tally.add(fmt.Sprintf("refused with %d: %s", o.status, d.what), 1)
	if o.status == 8 && d.what != "create" { // begun, it may be ended later; a create is undone
		p.doubts = append(p.doubts, d)
	}
	if o.status == 1 {
		p.s.fail("%s of %s: %s", d.what, d.site, strings.TrimSpace(o.stderr))
	}
	return false
}

func (p *person) create() {
	p.number++
	name := fmt.Sprintf("%s-s%d.%s", p.name, p.number, domain)
	kind := "static"
	if p.s.engine == "docker" && p.chance.IntN(3) > 0 {
		kind = "php"
	}
	if p.end(p.ask("", "site", "create", name, "--type", kind), doubt{what: "create", site: name, kind: kind}, "site.create", name) {
		p.sites[name] = newClaim(kind)
		p.swap(name)
	}
}

func newClaim(kind string) *claim { return &claim{kind: kind, files: map[string][]byte{}} }

func (p *person) delete(name string) {
	if p.end(p.ask("", "site", "delete", name, "--yes"), doubt{what: "delete", site: name}, "site.delete", name) {
		delete(p.sites, name)
		p.s.visitors.part(name)
	}
}

func (p *person) random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(p.chance.Uint32())
	}
	return b
}

// upload puts a new file.
func (p *person) upload(site string) {
	p.number++
	path, content := fmt.Sprintf("www/f%d", p.number), p.random(1+p.chance.IntN(300_000))
	if p.put(site, path, content, fmt.Sprintf("put %s/up /%s/%s\n", p.dir, site, path), doubt{what: "file", site: site, path: path, content: content}) {
		p.sites[site].files[path] = content
	}
}

// swap puts the page with a new secret in the place of the one before, as careful people do.
func (p *person) swap(site string) {
	kind, secret := p.sites[site].kind, fmt.Sprintf("%016x", p.chance.Uint64())
	path, content := page(kind, secret)
	p.s.visitors.meet(site, secret)
	batch := fmt.Sprintf("put %s/up /%s/www/new\nrename /%s/www/new /%s/%s\n", p.dir, site, site, site, path)
	if p.put(site, path, content, batch, doubt{what: "swap", site: site, path: path, content: content, secret: secret}) {
		p.sites[site].files[path], p.sites[site].secret = content, secret
	}
}

func page(kind, secret string) (path string, content []byte) {
	if kind == "php" {
		return "www/index.php", fmt.Appendf(nil, "<?php echo 'secret=', '%s', \"\\n\";", secret)
	}
	return "www/index.html", fmt.Appendf(nil, "secret=%s\n", secret)
}

func (p *person) put(site, path string, content []byte, batch string, d doubt) bool {
	if err := os.WriteFile(p.dir+"/up", content, 0o600); err != nil {
		p.s.fail("%v", err)
		return false
	}
	return p.end(p.client(batch, "sftp", "-b", "-", "nuage"), d, "", "")
}

func (p *person) addKey() {
	p.number++
	line, fingerprint, err := p.makeKey(fmt.Sprintf("key%d", p.number))
	if err != nil {
		p.s.fail("%v", err)
		return
	}
	if p.end(p.ask(line, "key", "add"), doubt{what: "key", fingerprint: fingerprint, line: line}, "key.add", p.name) {
		p.keys[fingerprint] = line
	}
}

// removeKey removes one that is not the one in use.
func (p *person) removeKey() {
	for _, fingerprint := range slices.Sorted(maps.Keys(p.keys)) {
		if strings.HasSuffix(strings.TrimSpace(p.keys[fingerprint]), " own") {
			continue
		}
		if p.end(p.ask("", "key", "remove", fingerprint), doubt{what: "unkey", fingerprint: fingerprint}, "key.remove", p.name) {
			delete(p.keys, fingerprint)
		}
		return
	}
}

func (p *person) halt(site string) {
	if p.end(p.ask("", "site", "stop", site), doubt{what: "stop", site: site}, "site.stop", site) {
		p.sites[site].stopped = true
	}
}

func (p *person) begin(site string) {
	if p.end(p.ask("", "site", "start", site), doubt{what: "start", site: site}, "site.start", site) {
		p.sites[site].stopped = false
	}
}

// look asks for a page that is up: it shall be the owner's own, or an error that says why not.
func (p *person) look(site string) {
	k := p.sites[site]
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	secret, status, err := p.s.visitors.ask(ctx, site)
	switch {
	case err != nil:
		time.Sleep(10 * time.Millisecond)
	case status == 200 && k.secret != "" && secret != k.secret:
		p.s.fail("%s shows %q, not the page that was put last", site, secret)
	case status == 200:
		p.s.tally.add("looked at", 1)
	}
}
