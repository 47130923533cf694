package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/store"
)

// records is all that the gateway knows.
type records struct {
	sites  map[string]cloud.Site // by name
	ids    map[string]cloud.Site
	keys   map[string]string // fingerprint, with the account
	events map[string]int    // action and target, of those that went well
}

// records reads a backup made while the gateway runs.
func (s *stage) records() (records, error) {
	text, err := s.ctl("", "backup")
	if err != nil {
		return records{}, err
	}
	file := s.dir + "/backup.db"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return records{}, err
	}
	return read(file)
}

// remains reads the store of a gateway that was killed.
func (s *stage) remains() (records, error) {
	text, err := os.ReadFile(s.data + "/nuage.db")
	if err != nil {
		return records{}, err
	}
	file := s.dir + "/remains.db"
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return records{}, err
	}
	return read(file)
}

func read(file string) (r records, err error) {
	r = records{sites: map[string]cloud.Site{}, ids: map[string]cloud.Site{}, keys: map[string]string{}, events: map[string]int{}}
	b, err := store.Open(file, store.Options{})
	if err != nil {
		return r, err
	}
	defer b.Close()
	err = b.View(context.Background(), func(tx cloud.Tx) error {
		sites, err := tx.Sites()
		if err != nil {
			return err
		}
		for _, site := range sites {
			r.sites[site.Name], r.ids[site.ID] = site, site
		}
		keys, err := tx.Keys("")
		if err != nil {
			return err
		}
		for _, k := range keys {
			r.keys[k.Fingerprint] = k.Account
		}
		return tx.Events(cloud.EventFilter{}, func(e cloud.Event) bool {
			if e.Result == "ok" {
				r.events[string(e.Action)+" "+e.Target]++
			}
			return true
		})
	})
	return r, err
}

// passages are the sites that a verb was at when the gateway was killed.
func (r records) passages() (names []string) {
	for name, site := range r.sites {
		if !site.Settled() {
			names = append(names, name)
		}
	}
	return names
}

// settle waits until all is as it must be, notes what does not get so, and then takes for granted how what was in doubt
// has ended. cut are the sites that a verb was at when the fault came.
func (s *stage) settle(cut []string) {
	began := time.Now()
	var wrong []string
	for time.Since(began) < patient {
		if wrong = s.wrong(cut); len(wrong) == 0 {
			break
		}
		time.Sleep(300 * time.Millisecond)
	}
	s.tally.longest("well again", time.Since(began))
	for _, text := range wrong {
		s.fail("%s", text)
	}
	r, err := s.records()
	if err != nil {
		s.fail("%v", err)
		return
	}
	for _, p := range s.people {
		p.adopt(r)
	}
}

// wrong is what is not as it must be now.
func (s *stage) wrong(cut []string) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	r, err := s.records()
	if err != nil {
		return []string{err.Error()}
	}
	expected := map[string]bool{}
	for _, p := range s.people {
		p.compare(r, expected, say)
	}
	for name, site := range r.sites {
		if !expected[name] {
			say("site %s (%s) is nobody's", name, site.State)
		}
	}
	s.world(r, say)
	s.repairs(cut, say)
	if len(wrong) > 0 {
		return wrong
	}
	for _, p := range s.people {
		p.visit(say)
	}
	return wrong
}

// compare holds a person's ledger against the records and the files.
func (p *person) compare(r records, expected map[string]bool, say func(string, ...any)) {
	for _, d := range p.doubts {
		if d.what != "create" {
			continue
		}
		expected[d.site] = true
		if site, there := r.sites[d.site]; there && (!site.Settled() || string(site.Type) != d.kind) {
			say("site %s, cut in its create, is %s and %s", d.site, site.State, site.Type)
		}
	}
	for name, k := range p.sites {
		expected[name] = true
		site, there := r.sites[name]
		d := p.about(name)
		switch {
		case !there && d.what == "delete":
			continue
		case !there:
			say("site %s, acknowledged, is lost", name)
			continue
		case site.Owner != p.name || string(site.Type) != k.kind:
			say("site %s is %s of %s", name, site.Type, site.Owner)
		case !site.Settled(), site.State == cloud.Failed:
			say("site %s is %s %s", name, site.State, site.Reason)
		case d.what == "stop", d.what == "start":
		case k.stopped != (site.State == cloud.Stopped):
			say("site %s is %s; stopped by its owner: %v", name, site.State, k.stopped)
		}
		for path, content := range k.files {
			is, err := os.ReadFile(filepath.Join(p.s.data, "sites", site.ID, "home/site", path))
			if err == nil && d.what == "swap" && d.path == path && bytes.Equal(is, d.content) {
				continue
			}
			if err != nil || !bytes.Equal(is, content) {
				say("file %s of %s, acknowledged with %d bytes, has %d (%v)", path, name, len(content), len(is), err)
			}
		}
	}
	for fingerprint := range p.keys {
		if r.keys[fingerprint] != p.name && p.about(fingerprint).what == "" {
			say("key %s of %s, acknowledged, is lost", fingerprint, p.name)
		}
	}
	for fingerprint, account := range r.keys {
		if account == p.name && p.keys[fingerprint] == "" && p.about(fingerprint).what == "" {
			say("key %s of %s was removed and is there", fingerprint, p.name)
		}
	}
	for event, n := range p.acks {
		if r.events[event] < n {
			say("%q was acknowledged %d times; the audit knows of %d", event, n, r.events[event])
		}
	}
}

// world looks at containers, homes and addresses.
func (s *stage) world(r records, say func(string, ...any)) {
	var containers []container
	if s.engine != "none" {
		var err error
		if containers, err = s.daemon.containers(s.data); err != nil {
			say("%v", err)
			return
		}
	}
	at, runs := map[string]string{}, map[string]container{}
	for _, k := range containers {
		site, known := r.ids[k.site()]
		if !known || site.Type != cloud.PHP {
			say("container %s of %s is of no site", k.ID[:12], k.Labels["nuage.name"])
			continue
		}
		if k.Labels["nuage.address"] != site.Address.String() {
			say("container of %s is made for %s, not %s", site.Name, k.Labels["nuage.address"], site.Address)
		}
		if k.State != "running" {
			continue
		}
		runs[site.ID] = k
		if site.State != cloud.Running {
			say("site %s runs though it is %s", site.Name, site.State)
		}
		for _, n := range k.NetworkSettings.Networks {
			if n.IPAddress != site.Address.String() {
				say("container of %s has the address %s, not %s", site.Name, n.IPAddress, site.Address)
			}
			if other := at[n.IPAddress]; other != "" {
				say("%s and %s both have %s", other, site.Name, n.IPAddress)
			}
			at[n.IPAddress] = site.Name
		}
	}
	given, uids := map[netip.Addr]string{}, map[int]string{}
	for name, site := range r.sites {
		if _, up := runs[site.ID]; site.Type == cloud.PHP && site.State == cloud.Running && !up {
			say("site %s does not run", name)
		}
		if other := given[site.Address]; other != "" && site.Address.IsValid() {
			say("%s and %s were both given %s", other, name, site.Address)
		}
		if other := uids[site.UID]; other != "" {
			say("%s and %s were both given uid %d", other, name, site.UID)
		}
		given[site.Address], uids[site.UID] = name, name
	}
	homes, err := os.ReadDir(s.data + "/sites")
	if err != nil {
		say("%v", err)
	}
	for _, h := range homes {
		if _, known := r.ids[h.Name()]; !known {
			say("home %s is of no site", h.Name())
		}
	}
	s.leftovers(say)
}

// leftovers are files beside the store that a kill left there.
func (s *stage) leftovers(say func(string, ...any)) {
	files, _ := os.ReadDir(s.data)
	for _, f := range files {
		switch f.Name() {
		case "nuage.db", "sites", "ssh", "certs", "time":
		default:
			say("%s lies in the data directory", f.Name())
		}
	}
}

// repairs holds what status says against what was cut.
func (s *stage) repairs(cut []string, say func(string, ...any)) {
	if len(cut) == 0 {
		return
	}
	text, err := s.ctl("", "status", "--json")
	var status cloud.Status
	if err == nil {
		err = json.Unmarshal([]byte(text), &status)
	}
	if err != nil {
		say("status: %v", err)
		return
	}
	for _, name := range cut {
		told := false
		for _, repair := range status.Repairs {
			told = told || strings.Contains(repair.Text, name)
		}
		if !told {
			say("status says nothing of %s, which was cut", name)
		}
	}
}

// visit asks for all pages that are up: each shall be there again, with its own secret.
func (p *person) visit(say func(string, ...any)) {
	for name, k := range p.sites {
		d := p.about(name)
		if k.stopped || k.secret == "" || d.what == "delete" || d.what == "stop" || d.what == "start" {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		secret, status, err := p.s.visitors.ask(ctx, name)
		cancel()
		if secret != k.secret && (d.what != "swap" || secret != d.secret) {
			say("%s answers %d with %q, not its secret (%v)", name, status, secret, err)
		}
	}
}

// adopt takes what was in doubt as it turned out.
func (p *person) adopt(r records) {
	for _, d := range p.doubts {
		p.adoptOne(r, d)
	}
	p.doubts, p.silent = nil, false
}

func (p *person) adoptOne(r records, d doubt) {
	site, there := r.sites[d.site]
	ended := "not done"
	switch d.what {
	case "create":
		if there {
			p.sites[d.site] = newClaim(d.kind)
		}
	case "delete":
		if !there {
			delete(p.sites, d.site)
			p.s.visitors.part(d.site)
		}
		there = !there
	case "stop", "start":
		k := p.sites[d.site]
		was := k.stopped
		k.stopped = site.State == cloud.Stopped
		there = k.stopped != was
	case "file", "swap":
		k := p.sites[d.site]
		is, err := os.ReadFile(filepath.Join(p.s.data, "sites", site.ID, "home/site", d.path))
		if there = err == nil && bytes.Equal(is, d.content); there {
			k.files[d.path] = d.content
			if d.what == "swap" {
				k.secret = d.secret
			}
		}
	case "key":
		if there = r.keys[d.fingerprint] == p.name; there {
			p.keys[d.fingerprint] = d.line
		}
	case "unkey":
		if there = r.keys[d.fingerprint] == ""; there {
			delete(p.keys, d.fingerprint)
		}
	}
	if there {
		ended = "done"
	}
	p.s.tally.add("turned out "+ended+": "+d.what, 1)
}
