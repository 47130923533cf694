package cloud

import (
	"net"
	"strconv"
)

// Door is how people reach the gateway from outside: what hints, help and welcome pages print.
type Door struct {
	Host      string // SSH host name
	SSHPort   int
	HTTPPort  int
	HTTPSPort int
	// Trusted says that browsers trust our certificates, so that links may say https.
	Trusted bool
}

// SSH is the command line that runs a command of ours: "ssh -p 2222 host site list".
func (d Door) SSH(command string) string { return d.ssh("", "", command) }

// Shell is the command line that opens a shell in a site.
func (d Door) Shell(site string) string { return d.ssh("-t ", site+"@", "") }

// Enrol is the command line that leads to the school login, whatever keys one has.
func (d Door) Enrol() string { return d.ssh("-t ", Enroller+"@", "") }

func (d Door) ssh(options, user, command string) string {
	line := "ssh " + options
	if d.SSHPort != 22 {
		line += "-p " + strconv.Itoa(d.SSHPort) + " "
	}
	line += user + d.Host
	if command != "" {
		line += " " + command
	}
	return line
}

// Upload is the command line that copies files to the document root of a site.
func (d Door) Upload(files, site, root string) string {
	port := ""
	if d.SSHPort != 22 {
		port = "-P " + strconv.Itoa(d.SSHPort) + " "
	}
	return "scp " + port + "-r " + files + " " + d.Host + ":" + site + "/" + root + "/"
}

// SFTP is the command line that opens the files of a site.
func (d Door) SFTP(site string) string {
	port := ""
	if d.SSHPort != 22 {
		port = "-P " + strconv.Itoa(d.SSHPort) + " "
	}
	return "sftp " + port + site + "@" + d.Host
}

// URL is where a browser finds a host.
func (d Door) URL(host string) string {
	if d.Trusted || d.HTTPPort == 0 {
		return webURL("https", host, d.HTTPSPort, 443)
	}
	return d.PlainURL(host)
}

// PlainURL is the same over HTTP, which has to be served.
func (d Door) PlainURL(host string) string { return webURL("http", host, d.HTTPPort, 80) }

// SecureURL is the same over HTTPS, "" where that is not served.
func (d Door) SecureURL(host string) string {
	if d.HTTPSPort == 0 {
		return ""
	}
	return webURL("https", host, d.HTTPSPort, 443)
}

func webURL(scheme, host string, port, usual int) string {
	if port != usual {
		host = net.JoinHostPort(host, strconv.Itoa(port))
	}
	return scheme + "://" + host + "/"
}
