// Package pebbletest runs Pebble, the ACME authority that Let's Encrypt has for tests, from its Go module and with its faults
// on. It is a program of its own: nothing of it is linked.
package pebbletest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	version = "v2.10.1"
	module  = "github.com/letsencrypt/pebble/v2/cmd/pebble@" + version
)

// Build makes the program, once for this user of this machine, and returns its path. The network or the module cache has
// to have it.
func Build() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	program := filepath.Join(cache, "nuage", "pebble-"+version)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(filepath.Dir(program), "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("go", "install", module)
	cmd.Env, cmd.Dir = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-mod=mod"), dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go install %s: %w: %s", module, err, out)
	}
	return program, os.Rename(filepath.Join(dir, "pebble"), program)
}

// Server is a Pebble that runs.
type Server struct {
	Directory string // URL
	Root      string // PEM file that its own HTTPS is trusted by

	program, dir, dns, manage string
	config                    string
	cmd                       *exec.Cmd
}

// Start runs the program with its files in dir. It asks dns (host:port), and challenges hosts at httpPort and tlsPort. It
// refuses one nonce in seven, as it may, and keeps to the letter of the protocol. Certificates last for life.
func Start(program, dir, dns string, httpPort, tlsPort int, life time.Duration) (*Server, error) {
	listen, manage, err := twoPorts()
	if err != nil {
		return nil, err
	}
	s := &Server{
		Directory: "https://" + listen + "/dir", Root: filepath.Join(dir, "pebble.pem"), program: program, dir: dir, dns: dns,
		manage: manage, config: filepath.Join(dir, "pebble.json"),
	}
	if err := selfSigned(s.Root, filepath.Join(dir, "pebble.key")); err != nil {
		return nil, err
	}
	text, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": manage, "certificate": s.Root, "privateKey": filepath.Join(dir, "pebble.key"),
		"httpPort": httpPort, "tlsPort": tlsPort,
		"profiles": map[string]any{"default": map[string]any{"description": "of the tests", "validityPeriod": int(life.Seconds())}},
	}})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.config, text, 0o600); err != nil {
		return nil, err
	}
	return s, s.run()
}

func (s *Server) run() error {
	s.cmd = exec.Command(s.program, "-config", s.config, "-dnsserver", s.dns, "-strict")
	s.cmd.Env = append(os.Environ(), "PEBBLE_WFE_NONCEREJECT=15", "PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0")
	log, err := os.Create(filepath.Join(s.dir, "pebble.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		if _, err = s.get(ctx, s.Directory); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			s.Stop()
			return fmt.Errorf("pebble does not come up: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends it.
func (s *Server) Stop() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

// Issued is the root, PEM, of the certificates that it issues.
func (s *Server) Issued(ctx context.Context) ([]byte, error) {
	return s.get(ctx, "https://"+s.manage+"/roots/0")
}

func (s *Server) get(ctx context.Context, url string) ([]byte, error) {
	text, err := os.ReadFile(s.Root)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}

// twoPorts are below those that the kernel gives to connections, which would take them before the program listens.
func twoPorts() (a, b string, err error) {
	var found []string
	for range 100 {
		l, listenErr := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+mathrand.IntN(20_000)))
		if listenErr != nil {
			err = listenErr
			continue
		}
		defer l.Close()
		if found = append(found, l.Addr().String()); len(found) == 2 {
			return found[0], found[1], nil
		}
	}
	return "", "", err
}

func selfSigned(cert, key string) error {
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, secret.Public(), secret)
	if err != nil {
		return err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		return err
	}
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), 0o600)
}
