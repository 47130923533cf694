package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// nginxNames measures, with nginx in front of a thousand names, how long a change takes until nginx serves it: one alone, and
// fifty at once. Visitors ask meanwhile, and none may be lost.
func (s *stage) nginxNames() ([]row, error) {
	on, err := newStage(s.quick) // names of its own: no other row's
	if err != nil {
		return nil, err
	}
	defer on.close()
	nginx, err := on.frontedByNginx()
	defer stop(nginx)
	if err != nil {
		return nil, err
	}
	client, err := on.login()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	finish := on.visit()
	one, err := on.changesAlone(client)
	if err != nil {
		return nil, errors.Join(err, finish())
	}
	burst, err := on.changesAtOnce(client)
	if err := errors.Join(err, finish()); err != nil {
		return nil, err
	}
	return []row{
		{name: "nginx mode, 1,000 names: one change until nginx serves it; no request lost", ours: one, peerName: "–", unit: "s", goal: 1, absolute: true},
		{name: "the same: 50 changes at once, all served", ours: burst, peerName: "–", unit: "s", goal: 3, absolute: true},
	}, nil
}

// frontedByNginx makes the names, and starts the gateway again behind an nginx.
func (s *stage) frontedByNginx() (*exec.Cmd, error) {
	const domain = "bench.test"
	stop(s.gateway)
	err := errors.Join(s.startGatewayBy(s.config(domain, "listen = \"127.0.0.1:0\"\ntls = \"127.0.0.1:0\"\n")), s.writeClientConfig())
	if err != nil {
		return nil, err
	}
	client, err := s.login()
	if err != nil {
		return nil, err
	}
	for i := range names {
		if err := session(client, fmt.Sprintf("site create n%d.%s --type static", i, domain)); err != nil {
			return nil, err
		}
	}
	client.Close()
	stop(s.gateway)
	w, err := s.newWeb("nginx", "front")
	if err != nil {
		return nil, err
	}
	main := fmt.Sprintf("user root;\ndaemon off;\npid %[1]s/front.pid;\nerror_log %[1]s/front.err;\nevents { worker_connections 1024; }\nhttp {\n\taccess_log off;\n\tserver { listen %[2]s; return 404; }\n\tinclude %[1]s/front*.inc;\n}\n", s.dir, w.containerTLS)
	if err := os.WriteFile(s.path("front.conf"), []byte(main), 0o600); err != nil {
		return nil, err
	}
	if err := w.start(exec.Command("/usr/sbin/nginx", "-c", s.path("front.conf"))); err != nil {
		return w.process, err
	}
	front := fmt.Sprintf("listen = %q\ntls = %q\nproxy = \"nginx\"\nbehind = %q\n", w.files, w.filesTLS, w.container) +
		fmt.Sprintf("[nginx]\nprogram = \"/usr/sbin/nginx\"\nconfig = %q\nfile = %q\naccess_log = %q\n", s.path("front.conf"), s.path("front.inc"), s.path("front.log"))
	return w.process, errors.Join(s.startGatewayBy(s.config(domain, front)), s.writeClientConfig())
}

// changesAlone makes sites one after another, with more than a second between.
func (s *stage) changesAlone(client *ssh.Client) (took sample, err error) {
	for i := range s.runs(20) {
		time.Sleep(1200 * time.Millisecond)
		t, err := timed(func() error { return s.newName(client, fmt.Sprintf("one%d.bench.test", i)) })
		if err != nil {
			return nil, err
		}
		took = append(took, t)
	}
	return took, nil
}

// changesAtOnce makes fifty sites at once, over ten connections.
func (s *stage) changesAtOnce(client *ssh.Client) (took sample, err error) {
	const connections, each = 10, 5
	var clients []*ssh.Client
	for range connections {
		c, err := s.login()
		if err != nil {
			return nil, err
		}
		defer c.Close()
		clients = append(clients, c)
	}
	for turn := range s.runs(5) {
		time.Sleep(1200 * time.Millisecond)
		t, err := timed(func() error {
			return atOnce(connections*each, func(i int) error {
				return s.newName(clients[i%connections], fmt.Sprintf("b%d-%d.bench.test", turn, i))
			})
		})
		if err != nil {
			return nil, err
		}
		took = append(took, t)
	}
	return took, nil
}

// newName makes a site and asks for it by HTTPS through nginx, which knows no other names: the command says when it serves.
func (s *stage) newName(client *ssh.Client, host string) error {
	if err := session(client, "site create "+host+" --type static"); err != nil {
		return err
	}
	r, err := load{address: "127.0.0.1:" + s.httpsPort, hosts: []string{host}, path: "/"}.once()
	if err == nil && !r {
		err = fmt.Errorf("%s is told to be served and is not", host)
	}
	return err
}

// visit asks for the thousand names, as browsers do, until finish is called, which tells whether any was lost.
func (s *stage) visit() (finish func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	var asked atomic.Int64
	failed := make(chan error, 8)
	for i := range 8 {
		all.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				if err := s.ask(fmt.Sprintf("n%d.bench.test", n%names)); err != nil {
					failed <- fmt.Errorf("a request was lost: %w", err)
					return
				}
				asked.Add(1)
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	return func() error {
		cancel()
		all.Wait()
		select {
		case err := <-failed:
			return err
		default:
		}
		if asked.Load() < 100 {
			return fmt.Errorf("only %d requests were asked", asked.Load())
		}
		return nil
	}
}

// ask asks over a connection that is kept, if the server has not closed it.
func (s *stage) ask(host string) error {
	r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+s.httpPort+"/", nil)
	if err != nil {
		return err
	}
	r.Host = host
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", host, res.Status)
	}
	return err
}
