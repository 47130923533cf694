package main

import (
	"cmp"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"plil.net/nuage/cloud"
)

// doors are the open listeners. HTTP or HTTPS may be nil: not served.
type doors struct {
	ssh, http, https net.Listener
	behind           net.Listener   // of the built-in proxy, where another proxy has HTTP and HTTPS
	outside          web            // where that one listens
	quic             net.PacketConn // of HTTP/3, beside https; nil: not served
}

// openDoors opens all doors or none.
func openDoors(c config) (*doors, error) {
	d := &doors{}
	if c.HTTP.Proxy != "builtin" {
		d.outside = web{c.HTTP.Listen, c.HTTP.TLS}
		c.HTTP.Listen, c.HTTP.TLS = "", ""
	} else {
		c.HTTP.Behind = ""
	}
	for _, door := range []struct {
		key, address string
		into         *net.Listener
	}{
		{"ssh.listen", c.SSH.Listen, &d.ssh},
		{"http.listen", c.HTTP.Listen, &d.http},
		{"http.tls", c.HTTP.TLS, &d.https},
		{"http.behind", c.HTTP.Behind, &d.behind},
	} {
		if door.address == "" {
			continue
		}
		l, err := net.Listen("tcp", door.address)
		if err != nil {
			d.close()
			return nil, doorError(door.key, door.address, err)
		}
		*door.into = l
	}
	return d, d.openQUIC(c)
}

// openQUIC opens UDP beside HTTPS, where the config asks for HTTP/3.
func (d *doors) openQUIC(c config) (err error) {
	if !c.HTTP.HTTP3 {
		return nil
	}
	if d.https == nil {
		d.close()
		return cloud.Errorf(cloud.Invalid, "http.http3 needs HTTPS by the built-in proxy").WithHint(`set http.tls, and http.proxy = "builtin"`)
	}
	if d.quic, err = net.ListenPacket("udp", d.https.Addr().String()); err != nil {
		d.close()
		return doorError("http.tls", d.https.Addr().String()+" (UDP)", err)
	}
	return nil
}

func doorError(key, address string, err error) error {
	flag := map[string]string{"ssh.listen": "--ssh", "http.listen": "--http", "http.tls": "--https"}[key]
	e := cloud.Errorf(cloud.Unavailable, "%s = %q cannot be opened: %v", key, address, plain(err))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return e.WithHint("another program has it (ss -ltnp shows which); stop that, or choose another with %s ADDR", flag)
	case errors.Is(err, os.ErrPermission):
		return e.WithHint("ports below 1024 are for root; choose another with %s ADDR", flag)
	}
	return e.WithHint("write it like %s :2222", flag)
}

// plain is the innermost reason, without the operation and the address said already.
func plain(err error) error {
	for next := err; next != nil; next = errors.Unwrap(next) {
		err = next
	}
	return err
}

func (d *doors) close() {
	for _, l := range []net.Listener{d.ssh, d.http, d.https, d.behind} {
		if l != nil {
			l.Close()
		}
	}
	if d.quic != nil {
		d.quic.Close()
	}
}

// web are the ports of the proxy.
func (d *doors) web() (ports []int) {
	for _, l := range []net.Listener{d.http, d.https} {
		if l != nil {
			ports = append(ports, port(l))
		}
	}
	return ports
}

// public is how people reach the doors.
func (d *doors) public(c config) cloud.Door {
	host := c.SSH.Host
	if host == "" {
		host = c.Domain
	}
	door := cloud.Door{Host: host, SSHPort: port(d.ssh), HTTPPort: port(d.http), HTTPSPort: port(d.https)}
	if d.behind != nil {
		door.HTTPPort, door.HTTPSPort = portOf(d.outside.http), portOf(d.outside.https)
	}
	door.Trusted = c.HTTP.Cert != "internal" && door.HTTPSPort != 0
	if name, p, err := net.SplitHostPort(host); err == nil {
		door.Host = name
		if n, err := strconv.Atoi(p); err == nil {
			door.SSHPort = n
		}
	}
	return door
}

func port(l net.Listener) int {
	if l == nil {
		return 0
	}
	return l.Addr().(*net.TCPAddr).Port
}

// ready is the line that says that all doors are open (contract).
func (d *doors) ready(engine string) string {
	http, https := address(d.http), address(d.https)
	if d.behind != nil {
		http, https = cmp.Or(d.outside.http, "off"), cmp.Or(d.outside.https, "off")
	}
	return strings.Join([]string{"ready", "ssh=" + address(d.ssh), "http=" + http, "https=" + https, "engine=" + engine}, " ")
}

func address(l net.Listener) string {
	if l == nil {
		return "off"
	}
	return l.Addr().String()
}

// local is where a program on this host finds the SSH door.
func (d *doors) local() string {
	a := d.ssh.Addr().(*net.TCPAddr)
	ip := a.IP.String()
	if a.IP.IsUnspecified() {
		ip = "localhost"
	}
	return net.JoinHostPort(ip, strconv.Itoa(a.Port))
}

// quicPort is 0 where HTTP/3 is not served.
func (d *doors) quicPort() int {
	if d.quic == nil {
		return 0
	}
	return d.quic.LocalAddr().(*net.UDPAddr).Port
}
