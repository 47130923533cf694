package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// caddyModule is built once for a bench, and kept in Go's cache: the first time takes minutes.
const caddyModule = "github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.2"

// web is a server on this machine: where it gives out files, and where it passes requests to the container.
type web struct {
	name                    string
	files, filesTLS         string // host:port
	container, containerTLS string
	process                 *exec.Cmd
	host                    string
}

// newPeers starts nginx and Caddy over the same files, in front of the same container, each with an access log, as ours
// has. They come with a certificate of the kind that ours makes.
func (s *stage) newPeers(name, files, container string) (nginx, caddy *web, err error) {
	err = command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=bench",
		"-addext", "subjectAltName=DNS:"+name+".localhost", "-keyout", s.path("web.key"), "-out", s.path("web.pem"))
	if err != nil {
		return nil, nil, err
	}
	if nginx, err = s.startNginx(name, files, container); err != nil {
		return nil, nil, err
	}
	caddy, err = s.startCaddy(name, files, container)
	return nginx, caddy, err
}

func (s *stage) newWeb(program, site string) (*web, error) {
	w := &web{name: program, host: site + ".localhost"}
	s.peers = append(s.peers, w)
	for _, address := range []*string{&w.files, &w.filesTLS, &w.container, &w.containerTLS} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		*address = l.Addr().String()
	}
	return w, nil
}

// start runs the server, and waits until it listens.
func (w *web) start(c *exec.Cmd) error {
	var said strings.Builder
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		return err
	}
	w.process = c
	return until(10*time.Second, func() error {
		conn, err := net.Dial("tcp", w.containerTLS)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		return conn.Close()
	})
}

// startNginx has it speak what Go's TLS does: version 1.3, and the same cipher.
func (s *stage) startNginx(name, files, container string) (*web, error) {
	w, err := s.newWeb("nginx", name)
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`user root;
worker_processes auto;
daemon off;
pid %[1]s/nginx.pid;
error_log %[1]s/nginx.err;
events { worker_connections 1024; }
http {
	access_log %[1]s/nginx.log;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000;
	ssl_certificate %[1]s/web.pem;
	ssl_certificate_key %[1]s/web.key;
	ssl_protocols TLSv1.2 TLSv1.3;
	ssl_prefer_server_ciphers on;
	ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
	upstream app { server %[2]s; keepalive 64; }
	server { listen %[3]s; listen %[4]s ssl; root %[5]s; }
	server {
		listen %[6]s; listen %[7]s ssl;
		location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; }
	}
}
`, s.dir, container, w.files, w.filesTLS, files, w.container, w.containerTLS)
	if err := os.WriteFile(s.path("nginx.conf"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	return w, w.start(exec.Command("/usr/sbin/nginx", "-c", s.path("nginx.conf")))
}

func (s *stage) startCaddy(name, files, container string) (*web, error) {
	w, err := s.newWeb("Caddy", name)
	if err != nil {
		return nil, err
	}
	if err := s.installCaddy(); err != nil {
		return nil, err
	}
	// Left alone it would ask the container to compress, and unpack the answer again.
	passOn := "reverse_proxy " + container + " {\n\t\ttransport http {\n\t\t\tcompression off\n\t\t}\n\t}"
	var config strings.Builder
	fmt.Fprintf(&config, "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}\n")
	for _, site := range []struct{ address, host, body string }{
		{w.files, w.host, "root * " + files + "\n\tfile_server"}, {w.container, w.host, passOn},
	} {
		fmt.Fprintf(&config, "http://%s:%s {\n\tlog {\n\t\toutput file %s\n\t}\n\t%s\n}\n", site.host, portOf(site.address), s.path("caddy.log"), site.body)
	}
	for _, site := range []struct{ address, host, body string }{
		{w.filesTLS, w.host, "root * " + files + "\n\tfile_server"}, {w.containerTLS, w.host, passOn},
	} {
		fmt.Fprintf(&config, "https://%s:%s {\n\ttls %s %s\n\tlog {\n\t\toutput file %s\n\t}\n\t%s\n}\n", site.host, portOf(site.address),
			s.path("web.pem"), s.path("web.key"), s.path("caddy.log"), site.body)
	}
	if err := os.WriteFile(s.path("Caddyfile"), []byte(config.String()), 0o600); err != nil {
		return nil, err
	}
	c := exec.Command(s.path("caddy"), "run", "--config", s.path("Caddyfile"), "--adapter", "caddyfile")
	c.Env = append(os.Environ(), "HOME="+s.dir)
	return w, w.start(c)
}

func (s *stage) installCaddy() error {
	if _, err := os.Stat(s.path("caddy")); err == nil {
		return nil
	}
	install := exec.Command("go", "install", caddyModule)
	install.Env = append(os.Environ(), "GOBIN="+s.dir, "GOFLAGS=")
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("go install %s: %w: %s", caddyModule, err, out)
	}
	return nil
}

// ours is the gateway as a web server: both kinds of site at one address.
func (s *stage) ours(site string) *web {
	plain, secure := "127.0.0.1:"+s.httpPort, "127.0.0.1:"+s.httpsPort
	return &web{name: "ours", files: plain, filesTLS: secure, container: plain, containerTLS: secure, host: site + ".localhost", process: s.gateway}
}

func (w *web) stop() {
	if w != nil {
		stop(w.process)
	}
}

// ask puts a load on one of the server's addresses.
func (w *web) ask(address, path string, secure bool, d time.Duration) (result, error) {
	r, err := load{address: address, secure: secure, hosts: []string{w.host}, path: path, connections: 64, time: d}.run()
	if err == nil && r.failed > 0 {
		err = fmt.Errorf("%d requests failed", r.failed)
	}
	if err != nil {
		err = fmt.Errorf("%s, %s: %w", w.name, path, err)
	}
	return r, err
}

// used is what the server has taken of the processor until now, with its workers.
func (w *web) used() (sum time.Duration) {
	pids := append(strings.Fields(output("pgrep", "-P", fmt.Sprint(w.process.Process.Pid))), fmt.Sprint(w.process.Process.Pid))
	for _, pid := range pids {
		stat, _ := os.ReadFile("/proc/" + pid + "/stat")
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 12 { // the 14th and 15th of proc(5), the name not counted
			user, _ := strconv.Atoi(fields[11])
			system, _ := strconv.Atoi(fields[12])
			sum += time.Duration(user+system) * (time.Second / ticks)
		}
	}
	return sum
}

const ticks = 100 // a second, as /proc counts: USER_HZ
