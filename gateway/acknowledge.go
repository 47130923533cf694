package gateway

import (
	"net"
	"syscall"
)

// acknowledge tells the other end at once that what it sent is here. OpenSSH's client turns Nagle's algorithm off only
// when a session begins: in a login its next packet waits until the one before is acknowledged, and the kernel keeps
// that back for 40 ms, for an answer that could carry it (tcp(7), TCP_QUICKACK). The kernel forgets this with the
// next answer, so it is said after each read.
func acknowledge(c net.Conn) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return // closed
	}
	_ = raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1) })
}
