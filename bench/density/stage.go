package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stage is a gateway with a data directory of its own.
type stage struct {
	ctx         context.Context // ends when the bench is stopped
	dir, nuage  string
	process     *exec.Cmd
	reconciled  chan struct{} // closed when the gateway has seen to all sites once
	base        string        // of the built-in proxy
	quiet       time.Duration // that a create takes while nothing runs
	running     int           // sites that run, and do not sleep
	web, engine *http.Client
}

const (
	domain  = "density.test"
	network = "10.201.0.0/16"
	idle    = "5s"
	patient = time.Minute
)

func newStage(ctx context.Context, nuage string) (*stage, error) {
	dir, err := os.MkdirTemp("", "nuage-density-*")
	if err != nil {
		return nil, err
	}
	if nuage, err = filepath.Abs(nuage); err != nil {
		return nil, err
	}
	// Many sites need many connections; each visit is one of its own, as from a browser that comes for the first time.
	s := &stage{ctx: ctx, dir: dir, nuage: nuage, web: &http.Client{Timeout: patient, Transport: &http.Transport{DisableKeepAlives: true}}}
	s.engine = &http.Client{Timeout: patient, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", "/var/run/docker.sock")
	}}}
	config := fmt.Sprintf("data = %q\ndomain = %q\n[ssh]\nlisten = \"127.0.0.1:0\"\n[http]\nlisten = \"127.0.0.1:0\"\ntls = \"\"\nmax_per_client = 10000\nmax_per_site = 10000\nmax_wakes = 100000\n"+
		"[engine]\nkind = \"docker\"\n[groups.students]\nnetwork = %q\nmax_sites = 10000\nidle = %q\nmax_idle = \"never\"\n", dir+"/data", domain, network, idle)
	return s, os.WriteFile(dir+"/nuage.toml", []byte(config), 0o600)
}

// serve starts the gateway and returns when its doors are open.
func (s *stage) serve() error {
	s.process = exec.Command(s.nuage, "serve", "--config", s.dir+"/nuage.toml")
	s.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM} // we end it, not the terminal
	out, err := s.process.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.process.Start(); err != nil {
		s.process = nil
		return err
	}
	ready, reconciled := make(chan string, 1), make(chan struct{})
	s.reconciled = reconciled
	go func() {
		defer close(ready)
		done := sync.OnceFunc(func() { close(reconciled) })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if _, at, ok := strings.Cut(lines.Text(), " http="); ok && strings.HasPrefix(lines.Text(), "ready ") {
				at, _, _ = strings.Cut(at, " ")
				ready <- "http://" + at
			} else if strings.Contains(lines.Text(), "msg=reconciled") {
				done()
			} else if strings.Contains(lines.Text(), "level=WARN") || strings.Contains(lines.Text(), "level=ERROR") {
				fmt.Fprintln(os.Stderr, lines.Text())
			}
		}
	}()
	select {
	case base, ok := <-ready:
		if !ok {
			return fmt.Errorf("the gateway did not get ready")
		}
		s.base = base
		return nil
	case <-time.After(patient):
		return fmt.Errorf("the gateway did not get ready within %s", patient)
	}
}

// stop ends the gateway; its sites go on.
func (s *stage) stop() error {
	if s.process == nil {
		return nil
	}
	defer func() { s.process = nil }()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	defer time.AfterFunc(patient, func() { _ = s.process.Process.Kill() }).Stop()
	return s.process.Wait()
}

// gateway is its memory in KiB.
func (s *stage) gateway() int64 {
	return kib(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid), "VmRSS")
}

// run makes the first n sites run and not sleep.
func (s *stage) run(n int) error {
	for ; s.running < n; s.running++ {
		if _, err := s.ctl(strings.NewReader(""), "site", "set", name(s.running), "idle=never"); err != nil {
			return err
		}
		if err := s.visit(name(s.running)); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) ctl(stdin io.Reader, args ...string) (string, error) {
	cmd := exec.CommandContext(s.ctx, s.nuage, append([]string{"ctl", "--data", s.dir + "/data"}, args...)...)
	cmd.Stdin = stdin
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, said.Bytes())
	}
	return string(out), nil
}

func name(n int) string { return fmt.Sprintf("site%d.%s", n, domain) }

func (s *stage) register(sites int) error {
	var table strings.Builder
	table.WriteString("login,vlan,docker_ip,domain\n")
	for n := range sites {
		fmt.Fprintf(&table, "user%d,students,,%s\n", n/3, name(n))
	}
	_, err := s.ctl(strings.NewReader(table.String()), "import")
	return err
}

// visit asks for a site's page; what is not a 200 is an error.
func (s *stage) visit(site string) error {
	r, err := http.NewRequestWithContext(s.ctx, "GET", s.base+"/", nil)
	if err != nil {
		return err
	}
	r.Host = site
	resp, err := s.web.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return newRefusal(site, resp)
	}
	return nil
}

// container is what the engine says of a site's container.
type container struct {
	ID, State string
	Labels    map[string]string
}

func (s *stage) containers() (all []container, err error) {
	filter, _ := json.Marshal(map[string][]string{"label": {"nuage.data=" + s.dir + "/data"}})
	resp, err := s.engine.Get("http://docker/containers/json?all=1&filters=" + string(bytes.ReplaceAll(filter, []byte(`"`), []byte("%22"))))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return all, json.NewDecoder(resp.Body).Decode(&all)
}

func (s *stage) container(site string) (container, error) {
	all, err := s.containers()
	for _, k := range all {
		if k.Labels["nuage.name"] == site {
			return k, nil
		}
	}
	return container{}, fmt.Errorf("no container of %s: %v", site, err)
}

func (s *stage) asleep(site string) error {
	for end := time.Now().Add(patient); time.Now().Before(end) && s.ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		if k, err := s.container(site); err == nil && k.State == "exited" {
			return nil
		}
	}
	return fmt.Errorf("%s does not fall asleep", site)
}

func (s *stage) post(path string) error {
	resp, err := s.engine.Post("http://docker"+path, "", nil)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode >= 400 {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return nil
}

// clean removes all that the stage made. The engine may still be at a start that the gateway began, so it is asked until nothing is
// left.
func (s *stage) clean() {
	if err := s.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "density: the gateway:", err)
	}
	var left []string
	for end := time.Now().Add(patient); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if left = s.sweep(); len(left) == 0 {
			break
		}
	}
	if len(left) > 0 {
		fmt.Fprintln(os.Stderr, "density: left behind:", strings.Join(left, " "))
	}
	sum := sha256.Sum256([]byte(s.dir + "/data"))
	for _, family := range []string{"inet", "bridge"} {
		_ = exec.Command("nft", "delete", "table", family, "nuage_"+hex.EncodeToString(sum[:4])).Run()
	}
	_ = os.RemoveAll(s.dir)
}

// sweep removes containers and networks, and returns what there was to remove.
func (s *stage) sweep() (found []string) {
	for _, kind := range []struct{ list, remove []string }{
		{[]string{"ps", "-aq"}, []string{"rm", "-f"}},
		{[]string{"network", "ls", "-q"}, []string{"network", "rm"}},
	} {
		out, err := exec.Command("docker", append(kind.list, "--filter", "label=nuage.data="+s.dir+"/data")...).Output()
		if err != nil {
			found = append(found, "docker: "+err.Error())
		}
		if ids := strings.Fields(string(out)); len(ids) > 0 {
			found = append(found, ids...)
			_ = exec.Command("docker", append(kind.remove, ids...)...).Run()
		}
	}
	return found
}

// kib reads a line of a file in /proc, in KiB.
func kib(file, line string) int64 {
	text, _ := os.ReadFile(file)
	_, rest, _ := strings.Cut(string(text), line+":")
	value, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseInt(value, 10, 64)
	return n
}

// starts counts the starts of a container since a time, as the engine's events tell.
func (s *stage) starts(id string, since int64) (n int, err error) {
	resp, err := s.engine.Get(fmt.Sprintf("http://docker/events?since=%d&until=%d&filters=%%7B%%22container%%22:[%%22%s%%22],%%22event%%22:[%%22start%%22]%%7D", since, time.Now().Unix()+1, id))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return countLines(resp.Body)
}

// countLines counts what is on lines of its own.
func countLines(r io.Reader) (n int, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) > 0 {
			n++
		}
	}
	return n, lines.Err()
}
