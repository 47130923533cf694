package logintest

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
)

// Name is a host that only a Proxy knows the way to; the provider's certificate is good for it.
const Name = "example.com"

// Proxy is one that HTTPS_PROXY may name: whatever host is asked for, it leads to the provider.
type Proxy struct {
	*httptest.Server

	mu    sync.Mutex
	asked []string
}

// NewProxy starts a proxy to the provider.
func (p *Provider) NewProxy() *Proxy {
	proxy := &Proxy{}
	proxy.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxy.mu.Lock()
		proxy.asked = append(proxy.asked, r.Method+" "+r.Host)
		proxy.mu.Unlock()
		to, err := net.Dial("tcp", p.server.Listener.Addr().String())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer to.Close()
		from, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer from.Close()
		_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		var there sync.WaitGroup
		there.Go(func() { _, _ = io.Copy(to, from); to.Close() })
		_, _ = io.Copy(from, to)
		from.Close()
		there.Wait()
	}))
	return proxy
}

// Asked are the requests that came, "CONNECT example.com:443".
func (p *Proxy) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}
