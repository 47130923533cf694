package acme_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"github.com/libdns/rfc2136"

	"plil.net/nuage/cloud/dnstest"
	"plil.net/nuage/proxygen/acme"
)

// updates names, in the environment of this program, the DNS server that it sets a record of, in place of running tests.
const updates = "NUAGE_TEST_DNS"

func TestMain(m *testing.M) {
	if server := os.Getenv(updates); server != "" {
		if err := update(server, os.Args[1], os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// update is what a program of an admin's does.
func update(server, verb, name, value string) error {
	p := &rfc2136.Provider{Server: server, KeyName: dnstest.KeyName, KeyAlg: "hmac-sha256", Key: dnstest.KeySecret}
	first, zone, _ := strings.Cut(name, ".")
	records := []libdns.Record{libdns.TXT{Name: first, Text: value}}
	var err error
	switch verb {
	case "present":
		_, err = p.AppendRecords(context.Background(), zone, records)
	case "cleanup":
		_, err = p.DeleteRecords(context.Background(), zone, records)
	default:
		err = fmt.Errorf("%q is not known", verb)
	}
	return err
}

// script is an executable file.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook")
	check(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	return path
}

// TestWildcardByProgram gets one from the authority with records that a program sets, and leaves none behind.
func TestWildcardByProgram(t *testing.T) {
	t.Parallel()
	w := newWorld(t, time.Hour)
	zone := fmt.Sprintf("program%d.test", time.Now().UnixNano())
	check(t, w.dns.Add(zone+". 60 IN SOA ns."+zone+". admin."+zone+". 1 60 60 60 60"))
	self, err := os.Executable()
	check(t, err)
	calls := filepath.Join(t.TempDir(), "calls")
	hook := script(t, fmt.Sprintf(`echo "$@" >> %s; %s=%s exec %s "$@"`, calls, updates, w.dns.Addr, self))
	w.options.Domains, w.options.DNS = []string{zone}, acme.Program{Path: hook}
	w.serve()
	w.eventually("the wildcard", func() bool {
		_, err := w.shown("blog." + zone)
		return err == nil
	})
	w.eventually("the record removed", func() bool {
		said, _ := os.ReadFile(calls)
		return strings.Contains(string(said), "present _acme-challenge."+zone+". ") &&
			strings.Contains(string(said), "cleanup _acme-challenge."+zone+". ")
	})
}

// TestProgramThatFails is told in its own words, and does not outlive its context.
func TestProgramThatFails(t *testing.T) {
	t.Parallel()
	records := []libdns.Record{libdns.TXT{Name: "_acme-challenge", Text: "x"}}
	for _, bad := range []struct{ path, want string }{
		{script(t, "echo trying; echo 'the zone is locked' >&2; exit 3"), "present: exit status 3: the zone is locked"},
		{script(t, "exit 4"), "present: exit status 4"},
		{"/nowhere/hook", "no such file or directory"},
	} {
		done, err := acme.Program{Path: bad.path}.AppendRecords(t.Context(), "example.org.", records)
		if err == nil || !strings.HasSuffix(err.Error(), bad.want) || len(done) != 0 {
			t.Errorf("%d records are set, %v; want %s", len(done), err, bad.want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := (acme.Program{Path: script(t, "sleep 300")}).DeleteRecords(ctx, "example.org.", records); err == nil {
		t.Error("a program that does not end is taken for done")
	}
}
