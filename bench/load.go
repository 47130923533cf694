package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// load asks a web server for one path over and over, the same way for all sides: each connection sends a request, reads the
// answer, and sends the next. It is with the server on the same machine, so it looks at no more of an answer than it must:
// what it takes for itself evens out what is measured.
type load struct {
	address     string // host:port
	secure      bool   // each connection is then for one host; else the hosts take turns
	hosts       []string
	path        string
	connections int
	time        time.Duration
	pause       time.Duration // from one request of a connection to the next; 0: at once
}

// stuck is how long after its time a load may go on: a server that does not answer must not stop the bench.
const stuck = 15 * time.Second

// result is what came of a load.
type result struct {
	rate   float64 // answers a second
	p99    time.Duration
	failed int // answers other than 200, and connections that broke
	count  int // answers
}

func (l load) run() (result, error) {
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		took  []time.Duration
		sum   result
		first error
	)
	start := time.Now()
	end := start.Add(l.time)
	for i := range l.connections {
		all.Go(func() {
			mine, failed, err := l.connection(i, end)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			sum.failed += failed
			if first == nil {
				first = err
			}
		})
	}
	all.Wait()
	if len(took) == 0 {
		return sum, errors.Join(errors.New("no answer"), first)
	}
	slices.Sort(took)
	sum.rate, sum.p99, sum.count = float64(len(took))/time.Since(start).Seconds(), took[len(took)*99/100], len(took)
	return sum, nil
}

// connection asks over one connection, and over another where that broke.
func (l load) connection(number int, end time.Time) (took []time.Duration, failed int, err error) {
	for n := number; time.Now().Before(end); {
		mine, bad, broke := l.session(&n, end)
		took, failed = append(took, mine...), failed+bad
		if broke != nil {
			failed, err = failed+1, broke
			time.Sleep(10 * time.Millisecond)
		}
	}
	return took, failed, err
}

// once asks one time.
func (l load) once() (ok bool, err error) {
	conn, err := tls.Dial("tcp", l.address, &tls.Config{ServerName: l.hosts[0], InsecureSkipVerify: true})
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", l.path, l.hosts[0]); err != nil {
		return false, err
	}
	return readAnswer(bufio.NewReader(conn))
}

func (l load) session(n *int, end time.Time) (took []time.Duration, failed int, err error) {
	conn, err := net.Dial("tcp", l.address)
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(end.Add(stuck))
	if l.secure {
		conn = tls.Client(conn, &tls.Config{ServerName: l.hosts[*n%len(l.hosts)], InsecureSkipVerify: true})
	}
	in := bufio.NewReaderSize(conn, 64<<10)
	var request []byte
	for time.Now().Before(end) {
		start := time.Now()
		request = fmt.Appendf(request[:0], "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", l.path, l.hosts[*n%len(l.hosts)])
		if _, err := conn.Write(request); err != nil {
			return took, failed, err
		}
		ok, err := readAnswer(in)
		if err != nil {
			return took, failed, err
		}
		if !ok {
			failed++
		}
		took = append(took, time.Since(start))
		if !l.secure {
			*n += l.connections
		}
		if l.pause > 0 {
			time.Sleep(l.pause - time.Since(start))
		}
	}
	return took, failed, nil
}

var (
	good         = []byte("HTTP/1.1 200")
	lengthHeader = []byte("Content-Length")
)

// readAnswer reads one answer, whose length must be told, and reports whether it is a 200.
func readAnswer(in *bufio.Reader) (ok bool, err error) {
	length := -1
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case first:
			ok = bytes.HasPrefix(line, good)
		case len(line) > len(lengthHeader) && line[len(lengthHeader)] == ':' && bytes.EqualFold(line[:len(lengthHeader)], lengthHeader):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(lengthHeader)+1:]))); err != nil {
				return false, err
			}
		case len(line) == 0 && length < 0:
			return false, errors.New("an answer without a length")
		case len(line) == 0:
			_, err := in.Discard(length)
			return ok, err
		}
	}
}
