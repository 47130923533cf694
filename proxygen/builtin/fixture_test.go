package builtin_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
)

// sites is a cloud with containers and homes, that counts who holds what.
type sites struct {
	mu         sync.Mutex
	containers map[string]netip.AddrPort
	homes      map[string]string
	refusal    error
	held       int
	holds      int
	run        uint64        // of all containers
	opened     func() error  // a home, if set
	asleep     chan struct{} // a Hold waits until it is closed; nil: nobody sleeps
}

var _ builtin.Sites = (*sites)(nil)

func (s *sites) Hold(ctx context.Context, id string) (netip.AddrPort, func(), error) {
	if s.asleep != nil {
		select {
		case <-s.asleep:
		case <-ctx.Done():
			return netip.AddrPort{}, nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusal != nil {
		return netip.AddrPort{}, nil, s.refusal
	}
	s.held++
	s.holds++
	return s.containers[id], s.release, nil
}

func (s *sites) RunOf(string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return 1 + s.run
}

// stop ends the run of all containers, as somebody would on purpose.
func (s *sites) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run++
}

func (s *sites) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held--
}

func (s *sites) holding() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

func (s *sites) Home(id string) (cloud.Home, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusal != nil {
		return nil, s.refusal
	}
	if s.opened != nil {
		return nil, s.opened()
	}
	root, err := os.OpenRoot(s.homes[id])
	if err != nil {
		return nil, err
	}
	return home{root: root}, nil
}

// home is as much of a Home as the proxy uses.
type home struct {
	cloud.Home
	root *os.Root
}

func (h home) OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	rel, inside := strings.CutPrefix(name, cloud.HomePath+"/")
	if !inside {
		return nil, fs.ErrNotExist
	}
	if info, err := h.root.Stat(rel); err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return nil, fs.ErrPermission
	}
	f, err := h.root.OpenFile(rel, flag, mode)
	if err != nil && strings.Contains(err.Error(), "escapes") {
		return nil, fs.ErrNotExist
	}
	return f, err
}

func (h home) Stat(name string) (fs.FileInfo, error) {
	f, err := h.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

func (h home) Close() error { return h.root.Close() }

// world is a proxy that serves on a loopback address.
type world struct {
	*testing.T
	sites *sites
	proxy *builtin.Proxy
	ca    *builtin.CA
	plain string // host:port
	tls   string
	stop  func() error // ends Serve and returns what it returned
}

var door = cloud.Door{Host: "nuage.example", SSHPort: 2222}

func newWorld(t *testing.T, changes ...func(*builtin.Proxy)) *world {
	t.Helper()
	return newWorldOn(t, "127.0.0.1:0", changes...)
}

func newWorldOn(t *testing.T, addr string, changes ...func(*builtin.Proxy)) *world {
	t.Helper()
	ca, err := builtin.OpenCA(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, ca: ca, sites: &sites{containers: map[string]netip.AddrPort{}, homes: map[string]string{}}}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.proxy = builtin.New(builtin.Options{Sites: w.sites, Certificates: ca, Domains: cloud.Domains{"test"}, Door: door, Log: log})
	for _, change := range changes {
		change(w.proxy)
	}
	plain, secure := listen(t, addr), listen(t, addr)
	w.plain, w.tls = plain.Addr().String(), secure.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.proxy.Serve(ctx, plain, secure) }()
	w.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := w.stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return w
}

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// container makes a PHP site "blog.test" whose container is h.
func (w *world) container(h http.HandlerFunc) {
	w.Helper()
	backend := httptest.NewUnstartedServer(h)
	backend.Listener.Close()
	backend.Listener = listen(w.T, "127.0.0.2:0")
	backend.Start()
	w.Cleanup(backend.Close)
	w.containerAt(netip.MustParseAddrPort(backend.Listener.Addr().String()))
}

func (w *world) containerAt(addr netip.AddrPort) {
	w.Helper()
	w.sites.containers["s1"] = addr
	w.publish(cloud.Route{Host: "blog.test", SiteID: "s1", Site: "blog.test", Type: cloud.PHP, State: cloud.Running})
}

// static makes a static site "page.test" of files, by name, below www/, and returns its home on disk.
func (w *world) static(files map[string]string) string {
	w.Helper()
	dir := w.TempDir()
	w.sites.homes["s2"] = dir
	for name, content := range files {
		full := filepath.Join(dir, "www", name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			w.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			w.Fatal(err)
		}
	}
	w.publish(cloud.Route{Host: "page.test", SiteID: "s2", Site: "page.test", Type: cloud.Static, State: cloud.Running, Root: "www"})
	return dir
}

func (w *world) publish(routes ...cloud.Route) {
	w.Helper()
	if err := w.proxy.Publish(w.Context(), routes); err != nil {
		w.Fatal(err)
	}
}

// client goes to the proxy whatever host a URL names, by HTTP and HTTPS.
func (w *world) client() *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(w.ca.RootPEM())
	transport := &http.Transport{
		ForceAttemptHTTP2:  true,
		DisableCompression: true,
		TLSClientConfig:    &tls.Config{RootCAs: pool},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			to := w.plain
			if strings.HasSuffix(addr, ":443") {
				to = w.tls
			}
			return (&net.Dialer{}).DialContext(ctx, network, to)
		},
	}
	w.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

func (w *world) do(method, url string, header ...string) answer {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, url, nil)
	if err != nil {
		w.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := w.client().Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.Fatal(err)
	}
	return answer{res, string(body)}
}

func (w *world) get(url string, header ...string) answer {
	w.Helper()
	return w.do(http.MethodGet, url, header...)
}

// raw opens a connection for bytes of the test's own making.
func (w *world) raw() *net.TCPConn {
	w.Helper()
	conn, err := net.Dial("tcp", w.plain)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn.(*net.TCPConn)
}

// exchangeRaw sends text and reads all answers until the proxy closes the connection.
func (w *world) exchangeRaw(text string) []answer {
	w.Helper()
	conn := w.raw()
	if _, err := io.WriteString(conn, text); err != nil {
		w.Fatal(err)
	}
	return readAnswers(conn)
}

func readAnswers(conn io.Reader) (all []answer) {
	in := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return all
		}
		body, _ := io.ReadAll(res.Body)
		all = append(all, answer{res, string(body)})
	}
}

func (a answer) want(t *testing.T, status int, inBody string) {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("status %d, want %d; body %.200q", a.StatusCode, status, a.body)
	}
	if !strings.Contains(a.body, inBody) {
		t.Errorf("body %.300q lacks %q", a.body, inBody)
	}
}

func (a answer) wantHeader(t *testing.T, name, value string) {
	t.Helper()
	if got := a.Header.Get(name); got != value {
		t.Errorf("%s is %q, want %q", name, got, value)
	}
}

// eventually polls until ok or a minute is over.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: not within a minute", what)
}

// publishBoth routes the container's site and the static one.
func (w *world) publishBoth() {
	w.Helper()
	w.publish(
		cloud.Route{Host: "blog.test", SiteID: "s1", Site: "blog.test", Type: cloud.PHP, State: cloud.Running},
		cloud.Route{Host: "page.test", SiteID: "s2", Site: "page.test", Type: cloud.Static, State: cloud.Running, Root: "www"})
}
