package builtin_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestHintsOfAContainer: net/http's HTTP/2 still reads the header of an early hint when the visitor has reset the
// stream, while the reverse proxy empties it: the runtime then ends the whole process.
func TestHintsOfAContainer(t *testing.T) {
	t.Parallel()
	var lines strings.Builder
	for i := range 400 { // more are refused
		fmt.Fprintf(&lines, "x%d: 1\r\n", i)
	}
	hint := "HTTP/1.1 103 Early Hints\r\n" + lines.String() + "\r\n"
	w := newWorld(t)
	w.container(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, hint+hint+"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	})
	var visitors sync.WaitGroup
	end := time.Now().Add(2 * time.Second)
	for range 4 {
		visitors.Go(func() {
			client := w.client()
			for time.Now().Before(end) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(30_000))*time.Microsecond)
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://blog.test/", nil)
				if res, err := client.Do(req); err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				cancel()
			}
		})
	}
	visitors.Wait()
	w.do(http.MethodGet, "https://blog.test/").want(t, 200, "ok")
}

// TestANonsenseStatus: net/http panics on a status below 100.
func TestANonsenseStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 099 What\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	})
	w.get("http://blog.test/").want(t, http.StatusBadGateway, `"blog.test"`)
}
