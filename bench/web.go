package main

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	webFile  = "small.txt" // 1 KiB
	largeWeb = "large.bin" // 1 MiB
	names    = 1000
)

// loadTime is how long one turn of a load is. All rows of the web, in their 5 turns, take about 11 minutes.
func (s *stage) loadTime() time.Duration {
	if s.quick {
		return time.Second
	}
	return 3 * time.Second
}

// webFiles compares static sites with the file servers of nginx and Caddy.
func (s *stage) webFiles() ([]row, error) {
	site, err := s.webSite("web", "static", "")
	if err != nil {
		return nil, err
	}
	nginx, caddy, err := s.newPeers("web", site, "127.0.0.1:1")
	if err != nil {
		return nil, err
	}
	defer nginx.stop()
	defer caddy.stop()
	return s.compareAll("static site", []string{webFile, largeWeb}, 2, 0.5, s.ours("web"), nginx, caddy, func(w *web) (string, string) { return w.files, w.filesTLS })
}

// webContainer compares the way to a container, which is the same one for all: first a site's usual one, which takes most
// of the time itself, then one with a web server that takes little.
func (s *stage) webContainer() (all []row, err error) {
	if s.engine == "none" {
		return nil, errors.New("no engine answers")
	}
	for _, c := range []struct {
		name, image, what string
		paths             []string
	}{
		{"app", "", "to a container with Apache", []string{webFile}},
		{"light", lightImage, "to a container with a light server", []string{webFile, largeWeb}},
	} {
		rows, err := s.wayTo(c.name, c.image, c.what, c.paths)
		all = append(all, rows...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func (s *stage) wayTo(name, image, what string, paths []string) ([]row, error) {
	files, err := s.webSite(name, "php", image)
	if err != nil {
		return nil, err
	}
	address, err := s.containerOf(name)
	if err != nil {
		return nil, err
	}
	nginx, caddy, err := s.newPeers(name, files, address)
	if err != nil {
		return nil, err
	}
	defer nginx.stop()
	defer caddy.stop()
	return s.compareAll(what, paths, 1.5, 0.4, s.ours(name), nginx, caddy, func(w *web) (string, string) { return w.container, w.containerTLS })
}

// compareAll compares each path, by HTTP and by HTTPS.
func (s *stage) compareAll(what string, paths []string, overCaddy, overNginx float64, ours, nginx, caddy *web, at func(*web) (plain, secure string)) (all []row, err error) {
	for _, path := range paths {
		for _, secure := range []bool{false, true} {
			rows, err := s.compare(what+", "+path, secure, overCaddy, overNginx, []*web{ours, nginx, caddy}, func(w *web, d time.Duration) (result, error) {
				plain, tls := at(w)
				if secure {
					return w.ask(tls, "/"+path, true, d)
				}
				return w.ask(plain, "/"+path, false, d)
			})
			all = append(all, rows...)
			if err != nil {
				return all, err
			}
		}
	}
	return all, nil
}

// compare lets ours, nginx and Caddy take turns, after a short one each that does not count. What each takes of the
// processor for a request is told beside the rates: it depends less on what else the machine does.
func (s *stage) compare(what string, secure bool, overCaddy, overNginx float64, sides []*web, measure func(*web, time.Duration) (result, error)) ([]row, error) {
	rates, costs := make([]sample, len(sides)), make([]sample, len(sides))
	for i := range s.runs(5) + 1 {
		for side, w := range sides {
			d := s.loadTime()
			if i == 0 {
				d = time.Second
			}
			before := w.used()
			r, err := measure(w, d)
			if err != nil {
				return nil, err
			}
			if i > 0 {
				rates[side] = append(rates[side], r.rate)
				costs[side] = append(costs[side], float64((w.used()-before).Microseconds())/float64(r.count))
			}
		}
	}
	scheme := "HTTP"
	if secure {
		scheme = "HTTPS"
	}
	name := fmt.Sprintf("%s, %s, 64 connections; %.0f µs of processor each", what, scheme, costs[0].median())
	return []row{
		{name: name, ours: rates[0], peer: rates[1], peerName: fmt.Sprintf("nginx, %.0f µs", costs[1].median()), unit: "/s", goal: overNginx, more: true},
		{name: name, ours: rates[0], peer: rates[2], peerName: fmt.Sprintf("Caddy, %.0f µs", costs[2].median()), unit: "/s", goal: overCaddy, more: true},
	}, nil
}

// webSite makes a site with both files, and the same files in a directory for the peers.
func (s *stage) webSite(name, kind, image string) (files string, err error) {
	files = s.path("files-" + name)
	if err := errors.Join(os.MkdirAll(files, 0o755), os.WriteFile(files+"/"+webFile, []byte(strings.Repeat("a small file of text, sixty-four bytes long, with its newline.\n\n", 16)), 0o644),
		command("dd", "if=/dev/urandom", "of="+files+"/"+largeWeb, "bs=1M", "count=1"), s.createSite(name, kind)); err != nil {
		return "", err
	}
	if image != "" {
		if err := errors.Join(s.makeLight(), s.ssh("nuage", "site", "set", name, "php="+image)); err != nil {
			return "", err
		}
	}
	for _, f := range []string{webFile, largeWeb} {
		if err := s.sftp("nuage", "put "+files+"/"+f+" /"+name+".localhost/www/"+f); err != nil {
			return "", err
		}
	}
	time.Sleep(2 * time.Second) // what is younger is not kept in memory
	return files, until(20*time.Second, func() error { return s.getFile("127.0.0.1:"+s.httpPort, name+".localhost", webFile) })
}

func (s *stage) containerOf(name string) (string, error) {
	var site struct {
		Address string `json:"address"`
	}
	out := output("bin/nuage", "ctl", "--data", s.path("data"), "site", "info", name, "--json")
	if err := json.Unmarshal([]byte(out), &site); err != nil || site.Address == "" {
		return "", fmt.Errorf("where is the container of %s? %s", name, out)
	}
	return site.Address + ":8080", nil
}

// webNames measures what changes cost the visitors of a thousand sites, and what their certificates take of memory.
func (s *stage) webNames() ([]row, error) {
	client, err := s.login()
	if err != nil {
		return nil, err
	}
	defer func() { client.Close() }()
	hosts := make([]string, names)
	for i := range hosts {
		hosts[i] = fmt.Sprintf("n%d.localhost", i)
		if err := session(client, "site create "+hosts[i]+" --type static"); err != nil {
			return nil, err
		}
	}
	changes, err := s.whileRoutesChange(client, hosts)
	if err != nil {
		return nil, err
	}
	var memory sample
	for range s.runs(3) {
		mib, err := s.certificates(hosts)
		if err != nil {
			return nil, err
		}
		memory = append(memory, mib)
	}
	return []row{changes, {name: "memory with 1,000 certificates served", ours: memory, peerName: "–", unit: "MiB", goal: 150, absolute: true}}, nil
}

// whileRoutesChange asks 2,000 times a second, with 100 changes a second and without in turns.
func (s *stage) whileRoutesChange(client *ssh.Client, hosts []string) (row, error) {
	ask := load{address: "127.0.0.1:" + s.httpPort, hosts: hosts, path: "/", connections: 64, time: s.loadTime(), pause: 32 * time.Millisecond}
	var quiet, busy sample
	var changes atomic.Int64
	for i := range s.runs(5) + 1 {
		still, err := ask.run()
		if err != nil {
			return row{}, err
		}
		stop := changeRoutes(client, hosts, &changes)
		moving, err := ask.run()
		if err := errors.Join(err, stop()); err != nil {
			return row{}, err
		}
		if lost := still.failed + moving.failed; lost > 0 {
			return row{}, fmt.Errorf("%d requests were lost", lost)
		}
		if i > 0 {
			quiet, busy = append(quiet, still.p99.Seconds()), append(busy, moving.p99.Seconds())
		} else {
			changes.Store(0)
		}
	}
	rate := float64(changes.Load()) / (s.loadTime().Seconds() * float64(len(busy)))
	return row{name: fmt.Sprintf("p99 of 2,000 requests a second for 1,000 names, while %.0f routes change a second; none lost", rate),
		ours: busy, peer: quiet, peerName: "the same while none changes", goal: 1.2}, nil
}

// changeRoutes changes a site every 10 ms, through the SSH door, until stop is called.
func changeRoutes(client *ssh.Client, hosts []string, done *atomic.Int64) (stop func() error) {
	const atOnce = 5 // the gateway takes 10 sessions of a connection, and one just over may still count
	end, failed := make(chan struct{}), make(chan error, atOnce)
	turns := make(chan string)
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for host := range turns {
				if err := session(client, "site set "+host+" root=www"); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
				done.Add(1)
			}
		})
	}
	all.Go(func() {
		defer close(turns)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-end:
				return
			case <-tick.C:
				turns <- hosts[i%len(hosts)]
			}
		}
	})
	return func() error {
		close(end)
		all.Wait()
		select {
		case err := <-failed:
			return err
		default:
			return nil
		}
	}
}

// certificates is the memory of a new gateway, in MiB, once it has served each host's certificate.
func (s *stage) certificates(hosts []string) (float64, error) {
	stop(s.gateway)
	if err := errors.Join(s.startGateway(), s.writeClientConfig()); err != nil {
		return 0, err
	}
	for _, host := range hosts {
		conn, err := tls.Dial("tcp", "127.0.0.1:"+s.httpsPort, &tls.Config{ServerName: host, InsecureSkipVerify: true})
		if err != nil {
			return 0, err
		}
		conn.Close()
	}
	time.Sleep(2 * time.Second)
	kib, err := s.resident()
	return float64(kib) / 1024, err
}

func (s *stage) login() (*ssh.Client, error) {
	key, err := os.ReadFile(s.path("key"))
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		return nil, err
	}
	all, err := s.dial(1, signer)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// session runs one command over a connection that is there.
func session(client *ssh.Client, line string) error {
	on, err := client.NewSession()
	if err != nil {
		return err
	}
	defer on.Close()
	if out, err := on.CombinedOutput(line); err != nil {
		return fmt.Errorf("%s: %w: %s", line, err, out)
	}
	return nil
}
