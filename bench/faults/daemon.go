package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const image = "nuage/php:8.2"

// daemon is a Docker daemon of our own, to be killed.
type daemon struct {
	dir     string
	restore bool // live-restore: containers outlive it
	process *exec.Cmd
	ended   chan struct{}
	api     *http.Client
}

func newDaemon(from string) (*daemon, error) {
	dir, err := os.MkdirTemp("", "nuage-faults-docker-*")
	if err != nil {
		return nil, err
	}
	d := daemonIn(dir)
	if err := errors.Join(os.WriteFile(dir+"/daemon.json", []byte("{}"), 0o600), d.start(), d.load(from)); err != nil {
		d.clean()
		return nil, err
	}
	return d, nil
}

// daemonIn is one that listens, or will, in a directory.
func daemonIn(dir string) *daemon {
	d := &daemon{dir: dir}
	d.api = &http.Client{Timeout: patient, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", d.socket())
	}}}
	return d
}

func (d *daemon) socket() string { return d.dir + "/docker.sock" }

func (d *daemon) host() string { return "unix://" + d.socket() }

// start returns once it answers.
func (d *daemon) start() error {
	log, err := os.OpenFile(d.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"--config-file", d.dir + "/daemon.json", "--data-root", d.dir + "/root", "--exec-root", d.dir + "/exec", "--pidfile", d.dir + "/pid",
		"-H", d.host(), "--storage-driver", driver(), "--live-restore=" + strconv.FormatBool(d.restore)}
	d.process = exec.Command("dockerd", args...)
	d.process.Stdout, d.process.Stderr = log, log
	if err := d.process.Start(); err != nil {
		return err
	}
	d.ended = make(chan struct{})
	go func() { _ = d.process.Wait(); close(d.ended) }()
	for end := time.Now().Add(patient); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if resp, err := d.api.Get("http://docker/_ping"); err == nil {
			resp.Body.Close()
			return nil
		}
		select {
		case <-d.ended:
			text, _ := os.ReadFile(d.dir + "/log")
			return fmt.Errorf("dockerd ended: %s", text[max(0, len(text)-2000):])
		default:
		}
	}
	return errors.New("dockerd does not answer")
}

// driver is that of the machine's own daemon, which runs here.
func driver() string {
	out, err := exec.Command("docker", "-H", "unix:///var/run/docker.sock", "info", "--format", "{{.Driver}}").Output()
	if err != nil {
		return "overlay2"
	}
	return strings.TrimSpace(string(out))
}

// load brings the standard image over from the machine's daemon.
func (d *daemon) load(from string) error {
	save := exec.Command("docker", "-H", "unix:///var/run/docker.sock", "save", from)
	load := exec.Command("docker", "-H", d.host(), "load", "-q")
	var err error
	if load.Stdin, err = save.StdoutPipe(); err != nil {
		return err
	}
	if err := save.Start(); err != nil {
		return err
	}
	out, err := load.CombinedOutput()
	if err := errors.Join(err, save.Wait()); err != nil {
		return fmt.Errorf("image: %w: %s", err, out)
	}
	if from == image {
		return nil
	}
	_, err = d.docker("tag", from, image)
	return err
}

// kill ends it as a crash would, with its containerd or without.
func (d *daemon) kill(containerd bool) {
	_ = d.process.Process.Kill()
	<-d.ended
	if !containerd {
		return
	}
	text, _ := os.ReadFile(d.dir + "/exec/containerd/containerd.pid")
	if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && pid > 1 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func (d *daemon) stop() {
	_ = d.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(patient):
		d.kill(true)
	}
}

func (d *daemon) clean() {
	if d.process != nil {
		d.stop()
	}
	_ = filepath.WalkDir(d.dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() && strings.HasSuffix(path, "/merged") {
			_ = syscall.Unmount(path, syscall.MNT_DETACH)
		}
		return nil
	})
	_ = os.RemoveAll(d.dir)
}

// container is what the daemon says of one.
type container struct {
	ID, State       string
	Labels          map[string]string
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
	}
}

func (k container) site() string { return k.Labels["nuage.site"] }

// containers are those of one gateway, running or not.
func (d *daemon) containers(data string) (all []container, err error) {
	return all, d.ask("GET", "/containers/json?all=1&filters="+filter(map[string]string{"label": "nuage.data=" + data}), &all)
}

func (d *daemon) networks(data string) (all []struct{ ID, Name string }, err error) {
	return all, d.ask("GET", "/networks?filters="+filter(map[string]string{"label": "nuage.data=" + data}), &all)
}

func filter(pairs map[string]string) string {
	f := map[string][]string{}
	for k, v := range pairs {
		f[k] = []string{v}
	}
	text, _ := json.Marshal(f)
	return string(bytes.ReplaceAll(text, []byte(`"`), []byte("%22")))
}

func (d *daemon) ask(method, path string, into any) error {
	r, err := http.NewRequest(method, "http://docker"+path, nil)
	if err != nil {
		return err
	}
	resp, err := d.api.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 400:
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(text))
	case into == nil:
		return nil
	}
	return json.Unmarshal(text, into)
}

// remove removes a container, running or not. Where somebody else is at it too the daemon gives up half-way, and is asked again.
func (d *daemon) remove(id string) (err error) {
	for end := time.Now().Add(patient / 6); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if _, err = d.docker("rm", "-f", id); err == nil || strings.Contains(err.Error(), "No such container") {
			return nil
		}
	}
	return err
}

// docker runs the command-line client on our daemon.
func (d *daemon) docker(args ...string) (string, error) {
	out, err := exec.Command("docker", append([]string{"-H", d.host()}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
