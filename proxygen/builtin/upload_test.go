package builtin_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"plil.net/nuage/proxygen/builtin"
)

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// zeros is a stream of n bytes that notes how much memory is in use while it is read.
type zeros struct {
	n    int64
	peak *atomic.Uint64
	read int64
}

func (z *zeros) Read(b []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	n := int(min(z.n, int64(len(b))))
	z.n -= int64(n)
	if z.read += int64(n); z.read > 16<<20 {
		z.read = 0
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		z.peak.Store(max(z.peak.Load(), m.HeapInuse))
	}
	return n, nil
}

// It is not parallel: the memory of other tests would be counted.
func TestLargeUploadInLittleMemory(t *testing.T) {
	const size = 200 << 20
	for _, known := range []bool{true, false} {
		w := newWorld(t)
		w.container(func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprintln(w, n, err)
		})
		var before runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var peak atomic.Uint64
		r, _ := http.NewRequest("PUT", "http://blog.test/big", &zeros{n: size, peak: &peak})
		if known {
			r.ContentLength = size
		}
		res, err := w.client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if want := fmt.Sprintln(size, nil); string(body) != want {
			t.Errorf("the container got %q, want %q", body, want)
		}
		if grown := int64(peak.Load()) - int64(before.HeapInuse); grown > 24<<20 {
			t.Errorf("200 MiB took %d MiB of memory", grown>>20)
		}
	}
}

func TestUploadArrivesPieceByPiece(t *testing.T) {
	t.Parallel()
	got := make(chan string)
	w := newWorld(t)
	w.container(func(w http.ResponseWriter, r *http.Request) {
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			got <- lines.Text()
		}
	})
	in, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		res, err := w.client().Post("http://blog.test/", "text/plain", in)
		if err == nil {
			res.Body.Close()
		}
		done <- err
	}()
	for i := range 3 {
		fmt.Fprintf(out, "line %d\n", i)
		select {
		case line := <-got:
			if line != fmt.Sprintf("line %d", i) {
				t.Errorf("got %q", line)
			}
		case <-time.After(time.Minute):
			t.Fatal("a piece is kept back")
		}
	}
	out.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestDialogue answers each line of an upload that goes on.
func TestDialogue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintf(w, "you said %s\n", lines.Text())
			w.(http.Flusher).Flush()
		}
	})
	for _, scheme := range []string{"http", "https"} {
		in, out := io.Pipe()
		go fmt.Fprintln(out, "one")
		res, err := w.client().Post(scheme+"://blog.test/", "text/plain", in)
		if err != nil {
			t.Fatal(err)
		}
		heard := bufio.NewReader(res.Body)
		if line, err := heard.ReadString('\n'); line != "you said one\n" || err != nil {
			t.Errorf("%s: %q, %v", scheme, line, err)
		}
		fmt.Fprintln(out, "two")
		if line, err := heard.ReadString('\n'); line != "you said two\n" || err != nil {
			t.Errorf("%s: %q, %v", scheme, line, err)
		}
		out.Close()
		res.Body.Close()
	}
}

// TestAnswerWaitsForUpload has begun its answer and says no more until a long upload has ended.
func TestAnswerWaitsForUpload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *builtin.Proxy) { p.Shorten(3*time.Second, time.Minute, time.Second, time.Second) })
	w.container(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.(http.Flusher).Flush()
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			in, out := io.Pipe()
			go func() {
				for range 10 {
					<-time.After(350 * time.Millisecond) // longer in all than the limit, and much shorter each
					_, _ = out.Write([]byte("x"))
				}
				out.Close()
			}()
			res, err := w.client().Post(scheme+"://blog.test/", "text/plain", in)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if string(body) != "10 <nil>" || err != nil {
				t.Errorf("%q, %v", body, err)
			}
		})
	}
}

func TestExpectContinue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *builtin.Proxy) { p.Shorten(time.Minute, time.Minute, 100*time.Millisecond, time.Second) })
	w.container(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		show(w, r)
	})
	const head = " HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"

	conn := w.raw()
	in := bufio.NewReader(conn)
	_, _ = io.WriteString(conn, "POST /yes"+head)
	if line, err := in.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	_, _ = in.ReadString('\n')
	_, _ = io.WriteString(conn, "body")
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	answer{res, string(body)}.want(t, 200, "\nbody")

	for _, a := range w.exchangeRaw("POST /no" + head) {
		a.want(t, 413, "")
	}
}

// TestEarlyAnswer is heard although the upload never ends, and the rest of it is not taken for a request.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *builtin.Proxy) { p.Shorten(time.Minute, time.Minute, 200*time.Millisecond, time.Second) })
	var requests atomic.Int32
	w.container(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	})
	w.static(nil)
	w.publishBoth()
	for _, host := range []string{"blog.test", "page.test", "nobody.test"} {
		conn := w.raw()
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\n\r\nfirst", host)
		in := bufio.NewReader(conn)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		if res.StatusCode < 400 || !res.Close {
			t.Errorf("%s: status %d, close %v", host, res.StatusCode, res.Close)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		fmt.Fprintf(conn, "GET /smuggled HTTP/1.1\r\nHost: blog.test\r\n\r\n")
		if rest, err := io.ReadAll(in); errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(string(rest), "HTTP/1.1") {
			t.Errorf("%s: after the answer: %q, %v; want the connection closed", host, rest, err)
		}
	}
	if requests.Load() != 1 {
		t.Errorf("the container got %d requests", requests.Load())
	}
}

func TestStalledUpload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *builtin.Proxy) {
		p.Shorten(3*time.Second, time.Minute, 100*time.Millisecond, time.Second)
	})
	w.container(show)
	all := w.exchangeRaw("POST / HTTP/1.1\r\nHost: blog.test\r\nContent-Length: 1000\r\n\r\nfirst")
	if len(all) != 1 {
		t.Fatalf("%d answers", len(all))
	}
	all[0].want(t, 408, "No byte of the request arrived for 3s")
	eventually(t, "released", func() bool { return w.sites.holding() == 0 })
}
