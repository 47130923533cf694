package gateway

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestAcknowledge plays what OpenSSH's client does in a login: two small packets for one answer, with Nagle's algorithm.
func TestAcknowledge(t *testing.T) {
	t.Parallel()
	var before, during time.Duration
	for end := time.Now().Add(time.Minute); time.Now().Before(end); { // the machine may be busy with other things
		before, during = rounds(t, true), rounds(t, false)
		if during < before/2 {
			return
		}
	}
	t.Errorf("20 rounds take %v, and %v without acknowledging", during, before)
}

func rounds(t *testing.T, loggedIn bool) time.Duration {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_ = client.(*net.TCPConn).SetNoDelay(false)
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	l := &line{Conn: server, reader: server}
	l.in.Store(loggedIn)
	done := make(chan error, 1)
	go func() {
		buffer := make([]byte, 2)
		var err error
		for err == nil {
			if _, err = io.ReadFull(l, buffer); err == nil {
				_, err = l.Write(buffer[:1])
			}
		}
		done <- err
	}()
	start := time.Now()
	answer := make([]byte, 1)
	for range 20 {
		_, err1 := client.Write([]byte("a"))
		_, err2 := client.Write([]byte("b"))
		if _, err := io.ReadFull(client, answer); err1 != nil || err2 != nil || err != nil {
			t.Fatal(err1, err2, err)
		}
	}
	taken := time.Since(start)
	client.Close()
	<-done
	return taken
}
