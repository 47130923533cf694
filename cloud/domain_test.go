package cloud_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/cloud/dnstest"
)

// zone is a DNS server with a resolver that asks it.
type zone struct {
	*dnstest.Server
	t *testing.T
}

func newZone(t *testing.T) *zone {
	t.Helper()
	s, err := dnstest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	z := &zone{s, t}
	for _, site := range []string{"blog", "shop"} {
		z.set(site+".plil.net. 60 IN A 192.0.2.1", site+".plil.net. 60 IN AAAA 2001:db8::1")
	}
	return z
}

func (z *zone) resolver() cloud.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, z.Addr)
	}}
}

func (z *zone) set(records ...string) {
	z.t.Helper()
	for _, r := range records {
		if err := z.Add(r); err != nil {
			z.t.Fatal(err)
		}
	}
}

// obey sets the records that somebody was told to.
func (z *zone) obey(c live, d cloud.DomainInfo) {
	z.t.Helper()
	for _, r := range c.Records(z.t.Context(), d) {
		value := r.Value
		switch r.Type {
		case "CNAME":
			value += "."
		case "TXT":
			value = fmt.Sprintf("%q", value)
		}
		z.set(fmt.Sprintf("%s. 60 IN %s %s", r.Name, r.Type, value))
	}
}

// street is a Cloud with a DNS server, and two people with a static site each.
type street struct {
	live
	*zone
	ann, bob cloud.Who
}

func newStreet(t *testing.T) street {
	t.Helper()
	w, z := newWorld(t), newZone(t)
	c := w.open(nil)
	c.Resolver = z.resolver()
	t.Cleanup(c.Close)
	s := street{c, z, w.person(c, "ann"), w.person(c, "bob")}
	for who, name := range map[*cloud.Who]string{&s.ann: "blog", &s.bob: "shop"} {
		w.site(c, *who, name, cloud.Static)
	}
	return s
}

func (s street) add(who cloud.Who, site, host string) cloud.DomainInfo {
	s.t.Helper()
	d, err := s.AddDomain(s.t.Context(), who, site, host)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// check returns the state of a domain after a look, and what is said of it.
func (s street) check(who cloud.Who, host string) (active bool, problem string) {
	s.t.Helper()
	d, _, err := s.CheckDomain(s.t.Context(), who, host)
	if err != nil {
		s.t.Fatal(err)
	}
	return d.Active(), d.Problem
}

func TestADomainWorksOnceProved(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	d := s.add(s.ann, "blog", "WWW.Example.org.")
	if again := s.add(s.ann, "blog", "www.example.org"); again.Token != d.Token {
		t.Error("asking again makes another proof")
	}
	if _, ok := s.SiteOf("www.example.org"); ok || strings.Contains(s.routes.hosts(), "www.example.org") {
		t.Error("it works before it is proved")
	}
	if active, problem := s.check(s.ann, "www.example.org"); active || problem != "CNAME of www.example.org: there is no address" {
		t.Errorf("active %v: %s", active, problem)
	}
	s.obey(s.live, d)
	if active, problem := s.check(s.ann, "www.example.org"); !active || problem != "" {
		t.Errorf("active %v: %s", active, problem)
	}
	if got := s.routes.hosts(); got != "blog.plil.net=running shop.plil.net=running www.example.org=running" {
		t.Errorf("routes %s", got)
	}
	if site, ok := s.SiteOf("WWW.example.org"); !ok || site != "www.example.org" {
		t.Errorf("an SSH user of that name is %q %v", site, ok)
	}
	if site, err := s.Site(t.Context(), s.ann, "www.example.org"); err != nil || site.Name != "blog.plil.net" {
		t.Errorf("%v %v", site.Name, err)
	}
	_, err := s.Site(t.Context(), s.bob, "www.example.org")
	wantError(t, err, cloud.NotFound, `no site "www.example.org"`)
	if _, err := s.RemoveDomain(t.Context(), s.ann, "www.example.org"); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.routes.hosts(), "www.example.org") {
		t.Error("it works after it was removed")
	}
}

func wantError(t *testing.T, err error, kind cloud.Kind, message string) {
	t.Helper()
	if cloud.KindOf(err) != kind || !strings.Contains(err.Error(), message) {
		t.Errorf("%q of kind %q, want %q of %q", err, cloud.KindOf(err), message, kind)
	}
}

func TestRecordsOfARegisteredName(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	d := s.add(s.ann, "blog", "example.co.uk")
	var got []string
	for _, r := range s.Records(t.Context(), d) {
		got = append(got, r.Name+" "+r.Type+" "+r.Value)
	}
	want := "example.co.uk A 192.0.2.1|example.co.uk AAAA 2001:db8::1|_nuage.example.co.uk TXT nuage-site=" + d.Token
	if strings.Join(got, "|") != want {
		t.Errorf("records %q, want %q", got, want)
	}
	s.obey(s.live, d)
	if active, problem := s.check(s.ann, "example.co.uk"); !active {
		t.Error(problem)
	}
}

// TestWhatProvesNothing: half of the records, records that lead elsewhere, and a proof that was made for another site.
func TestWhatProvesNothing(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	theirs := s.add(s.bob, "shop", "stolen.example.org")
	for host, tc := range map[string]struct {
		records func(cloud.DomainInfo) []string
		problem string
	}{
		"none.example.org": {func(d cloud.DomainInfo) []string { return nil }, "there is no address"},
		"lead.example.org": {func(d cloud.DomainInfo) []string { return []string{d.Host + ". 60 IN CNAME blog.plil.net."} }, "there is no such record"},
		"text.example.org": {func(d cloud.DomainInfo) []string {
			return []string{"_nuage." + d.Host + `. 60 IN TXT "nuage-site=` + d.Token + `"`}
		}, "there is no address"},
		"away.example.org": {func(d cloud.DomainInfo) []string {
			return []string{d.Host + ". 60 IN A 198.51.100.7", "_nuage." + d.Host + `. 60 IN TXT "nuage-site=` + d.Token + `"`}
		}, "it leads to 198.51.100.7, which is not here (here is 192.0.2.1, 2001:db8::1)"},
		"half.example.org": {func(d cloud.DomainInfo) []string {
			return []string{d.Host + ". 60 IN A 192.0.2.1", d.Host + ". 60 IN AAAA 2001:db8::bad", "_nuage." + d.Host + `. 60 IN TXT "nuage-site=` + d.Token + `"`}
		}, "it leads to 2001:db8::bad"},
		"stolen.example.org": {func(d cloud.DomainInfo) []string {
			return []string{d.Host + ". 60 IN CNAME blog.plil.net.", "_nuage." + d.Host + `. 60 IN TXT "nuage-site=` + theirs.Token + `"`}
		}, "it says something else"},
		"loop.example.org": {func(d cloud.DomainInfo) []string { return []string{d.Host + ". 60 IN CNAME " + d.Host + "."} }, "there is no address"},
	} {
		t.Run(host, func(t *testing.T) {
			d := s.add(s.ann, "blog", host)
			s.set(tc.records(d)...)
			if active, problem := s.check(s.ann, host); active || !strings.Contains(problem, tc.problem) {
				t.Errorf("active %v: %q, want %q", active, problem, tc.problem)
			}
		})
	}
}

// TestADomainGoesToWhoProvesItLater: a claim without a proof blocks nobody, and one whose proof is gone gives way.
func TestADomainGoesToWhoProvesItLater(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	const host = "www.example.org"
	hers := s.add(s.ann, "blog", host)
	his := s.add(s.bob, "shop", host)
	s.obey(s.live, hers)
	if active, problem := s.check(s.ann, host); !active {
		t.Fatal(problem)
	}
	if active, _ := s.check(s.bob, host); active {
		t.Fatal("it leads to two sites")
	}
	proof := `_nuage.www.example.org. 60 IN TXT "nuage-site=%s"`
	s.set(fmt.Sprintf(proof, his.Token))
	if active, problem := s.check(s.bob, host); active || !strings.Contains(problem, "a second such record proves it for another site") {
		t.Fatalf("active %v: %s", active, problem)
	}
	s.Remove("_nuage." + host)
	s.set(fmt.Sprintf(proof, his.Token))
	s.CheckDomains(t.Context())
	if list, err := s.DomainList(t.Context(), s.bob); err != nil || len(list) != 1 || !list[0].Active() {
		t.Fatalf("%+v %v", list, err)
	}
	if site, err := s.Site(t.Context(), s.bob, host); err != nil || site.Name != "shop.plil.net" {
		t.Errorf("%s %v", site.Name, err)
	}
	if list, _ := s.DomainList(t.Context(), s.ann); len(list) != 0 {
		t.Errorf("she still has %+v", list)
	}
}

// TestChecksHaveAPace: the number is in the message, and it holds for each account by itself.
func TestChecksHaveAPace(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	s.add(s.ann, "blog", "www.example.org")
	s.add(s.bob, "shop", "shop.example.org")
	for range 10 {
		s.check(s.ann, "www.example.org")
	}
	_, _, err := s.CheckDomain(t.Context(), s.ann, "www.example.org")
	wantError(t, err, cloud.Quota, "10 of 10 domain checks in 1m")
	s.check(s.bob, "shop.example.org")
}

// TestDNSThatIsAwayTakesNothing: only an answer counts.
func TestDNSThatIsAwayTakesNothing(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	s.obey(s.live, s.add(s.ann, "blog", "www.example.org"))
	s.CheckDomains(t.Context()) // by itself
	s.Break(true)
	_, _, err := s.CheckDomain(t.Context(), s.ann, "www.example.org")
	wantError(t, err, cloud.Unavailable, "DNS could not be asked")
	s.CheckDomains(t.Context())
	if _, ok := s.SiteOf("www.example.org"); !ok {
		t.Error("the domain is gone")
	}
	s.Break(false)
	s.Remove("_nuage.www.example.org")
	if active, problem := s.check(s.ann, "www.example.org"); !active || !strings.Contains(problem, "there is no such record") {
		t.Errorf("active %v: %q; it stays until somebody else proves it", active, problem)
	}
}

func TestDomainsThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	for host, tc := range map[string]struct {
		kind    cloud.Kind
		message string
	}{
		"":                                {cloud.Invalid, "is not a domain"},
		"www":                             {cloud.Invalid, "is not a domain"},
		"*.example.org":                   {cloud.Invalid, "is not a domain"},
		"a_b.example.org":                 {cloud.Invalid, "is not a domain"},
		"a b.example.org":                 {cloud.Invalid, "is not a domain"},
		"-a.example.org":                  {cloud.Invalid, "is not a domain"},
		"www..example.org":                {cloud.Invalid, "is not a domain"},
		"192.0.2.1":                       {cloud.Invalid, "is an address"},
		"2001:db8::1":                     {cloud.Invalid, "is an address"},
		"plil.net":                        {cloud.Invalid, "is served here already"},
		"shop.plil.net":                   {cloud.Invalid, `is under "plil.net"`},
		"SHOP.PLIL.NET":                   {cloud.Invalid, `is under "plil.net"`},
		"a.b.plil.net":                    {cloud.Invalid, `is under "plil.net"`},
		"printer.local":                   {cloud.Invalid, "not on the internet"},
		"co.uk":                           {cloud.Invalid, "is nobody's"},
		"www.ex\u0430mple.org":            {cloud.Invalid, "mixes Cyrillic and Latin letters"}, // a Cyrillic a
		"www.xn--exmple-4nf.org":          {cloud.Invalid, "mixes Cyrillic and Latin letters"}, // the same in punycode
		"xn--\u0430.example.org":          {cloud.Invalid, "is not a domain"},
		strings.Repeat("a.", 124) + "org": {cloud.Invalid, "the limit is 246"},
	} {
		_, err := s.AddDomain(t.Context(), s.ann, "blog", host)
		t.Logf("%q: %v", host, err)
		if err == nil {
			t.Errorf("%q is taken", host)
			continue
		}
		wantError(t, err, tc.kind, tc.message)
	}
	d := s.add(s.ann, "blog", "www.Bücher.example.org")
	if d.Host != "www.xn--bcher-kva.example.org" || cloud.UnicodeHost(d.Host) != "www.bücher.example.org" {
		t.Errorf("host %q, shown %q", d.Host, cloud.UnicodeHost(d.Host))
	}
	_, err := s.AddDomain(t.Context(), s.bob, "blog", "www.example.com")
	wantError(t, err, cloud.NotFound, "no site")
	_, err = s.RemoveDomain(t.Context(), s.bob, d.Host)
	wantError(t, err, cloud.NotFound, `no domain "www.xn--bcher-kva.example.org"`)
	_, _, err = s.CheckDomain(t.Context(), s.bob, "nobody.example.org")
	wantError(t, err, cloud.NotFound, `no domain "nobody.example.org"`)
	for i := 1; i < 20; i++ {
		s.add(s.ann, "blog", fmt.Sprintf("n%d.example.org", i))
	}
	_, err = s.AddDomain(t.Context(), s.ann, "blog", "one-more.example.org")
	wantError(t, err, cloud.Quota, "20 of 20 domains")
}

func TestADomainGoesWithItsSite(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	s.obey(s.live, s.add(s.ann, "blog", "www.example.org"))
	s.check(s.ann, "www.example.org")
	if err := s.DeleteSite(t.Context(), s.ann, "blog"); err != nil {
		t.Fatal(err)
	}
	if got := s.routes.hosts(); got != "shop.plil.net=running" {
		t.Errorf("routes %s", got)
	}
	if list, err := s.DomainList(t.Context(), s.ann); err != nil || len(list) != 0 {
		t.Errorf("%v %v", list, err)
	}
	if _, ok := s.SiteOf("www.example.org"); ok {
		t.Error("it is still a site")
	}
}

// TestADomainNobodyProvesIsForgotten, so that it does not cost a look for ever.
func TestADomainNobodyProvesIsForgotten(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	s.add(s.ann, "blog", "www.example.org")
	s.obey(s.live, s.add(s.ann, "blog", "kept.example.org"))
	s.check(s.ann, "kept.example.org")
	s.Now = func() time.Time { return time.Now().Add(15 * 24 * time.Hour) }
	s.CheckDomains(t.Context())
	if list, err := s.DomainList(t.Context(), s.ann); err != nil || len(list) != 1 || list[0].Host != "kept.example.org" {
		t.Errorf("%+v %v", list, err)
	}
}

func TestMainNameAndHTTPS(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	s.Door.HTTPSPort = 443
	_, err := s.SetSite(t.Context(), s.ann, "blog", []string{"main=www.example.org"})
	wantError(t, err, cloud.Invalid, "is not a name of")
	_, err = s.SetSite(t.Context(), s.ann, "blog", []string{"https=on"})
	wantError(t, err, cloud.Invalid, "is not known")
	s.obey(s.live, s.add(s.ann, "blog", "www.example.org"))
	s.check(s.ann, "www.example.org")
	if _, err := s.SetSite(t.Context(), s.ann, "blog", []string{"main=www.example.org", "https=force"}); err != nil {
		t.Fatal(err)
	}
	tell := func() (told []string) {
		s.routes.mu.Lock()
		defer s.routes.mu.Unlock()
		for _, r := range s.routes.last {
			told = append(told, fmt.Sprintf("%s>%s %v", r.Host, r.Main, r.Secure))
		}
		return told
	}
	if got := strings.Join(tell(), ", "); got != "blog.plil.net>www.example.org true, shop.plil.net> false, www.example.org> true" {
		t.Errorf("routes %s", got)
	}
	if _, err := s.RemoveDomain(t.Context(), s.ann, "www.example.org"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(tell(), ", "); got != "blog.plil.net> true, shop.plil.net> false" {
		t.Errorf("routes %s", got)
	}
}
