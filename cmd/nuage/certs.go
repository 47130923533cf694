package main

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
)

// certificates are where HTTPS has its certificates from.
type certificates struct {
	served builtin.Certificates
	told   cloud.Certificates
	root   string // PEM of the local authority, "" without one
	run    func(context.Context)
	// join, if set, ties them to the cloud, before anybody is served; challenge is builtin.Options.Challenge
	join      func(*cloud.Cloud)
	challenge func(http.ResponseWriter, *http.Request) bool
	// files names those of a host's certificate, for a proxy outside
	files func(host string) (cert, key string, ok bool)
}

// openCertificates opens what http.cert asks for.
func openCertificates(c config, d *data, door cloud.Door, domains []string, log *slog.Logger) (certificates, error) {
	if c.HTTP.Cert == "files" {
		files, err := builtin.OpenFiles(c.HTTP.Files, log, time.Now)
		if err != nil {
			return certificates{}, err
		}
		return certificates{served: files, told: files, run: files.Run, files: files.Files}, nil
	}
	dir := filepath.Join(d.dir, certsDir)
	if c.HTTP.Cert == "acme" {
		issuer, err := c.issuer(dir, door, domains, log)
		if err != nil {
			return certificates{}, err
		}
		return issued(issuer, log), nil
	}
	ca, err := builtin.OpenCA(dir, time.Now)
	if err != nil {
		return certificates{}, err
	}
	files := func(host string) (cert, key string, ok bool) {
		name, err := ca.Files(dir, covering(host, domains))
		if err != nil {
			log.Error("certificate not written", "host", host, "err", err)
		}
		return name, name, err == nil
	}
	return certificates{served: ca, told: ca, root: string(ca.RootPEM()), run: func(context.Context) {}, files: files}, nil
}

// covering is the name of the certificate that a host has from our own authority, for a proxy outside: one for all sites
// of a served domain, as each costs that proxy memory and time. Under a domain of one label no client takes a wildcard.
func covering(host string, domains []string) string {
	_, parent, _ := strings.Cut(host, ".")
	if slices.Contains(domains, parent) && strings.Contains(parent, ".") {
		return "*." + parent
	}
	return host
}
