package cloud

import (
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// maxHost is the longest host that a proof can be asked for: 253 (RFC 1035 section 2.3.4) less that of [proofLabel].
const maxHost = 253 - len(proofLabel)

// privateSuffixes are no part of the public DNS: nobody can prove a name there (RFC 6761, 6762, 7686, 9476).
var privateSuffixes = []string{"localhost", "local", "internal", "lan", "home", "onion", "alt", "invalid", "arpa"}

// parseHost reads a domain of somebody's own, in letters of any script, and returns it as DNS has it: lower case, xn--
// for what is not ASCII. Invalid with the rule.
func (c *Cloud) parseHost(s string) (string, error) {
	host, err := idnaProfile().ToASCII(strings.TrimSuffix(s, "."))
	host = strings.ToLower(host)
	suffix, _ := publicsuffix.PublicSuffix(host)
	last := host[strings.LastIndexByte(host, '.')+1:]
	switch bad := Errorf(Invalid, "%q is not a domain", s).WithHint("write it like www.example.org"); {
	case isIP(s):
		return "", Errorf(Invalid, "%q is an address, not a domain", s).WithHint("write it like www.example.org")
	case err != nil:
		return "", bad.Because(err)
	case len(host) > maxHost:
		return "", Errorf(Invalid, "domain %q has %d characters; the limit is %d", s, len(host), maxHost)
	case !strings.Contains(host, "."), !allLabels(host):
		return "", bad
	case slices.Contains(c.domains, host), host == c.Door.Host:
		return "", Errorf(Invalid, "domain %q is served here already", s).WithHint("a site under it is made with %s", c.Door.SSH("site create NAME"))
	case c.domains.of(host) != "":
		return "", Errorf(Invalid, "domain %q is under %q, which is served here", s, c.domains.of(host)).
			WithHint("make it a site: %s", c.Door.SSH("site create "+host))
	case slices.Contains(privateSuffixes, last):
		return "", Errorf(Invalid, "domain %q is under %q, which is not on the internet", s, last).WithHint("write it like www.example.org")
	case host == suffix:
		return "", Errorf(Invalid, "domain %q is nobody's: people register names under it", s).WithHint("write it like www.example.org")
	}
	return host, notMixed(host)
}

// idnaProfile is what browsers do with what is typed (UTS 46, non-transitional), and strict about hosts.
func idnaProfile() *idna.Profile {
	return idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.Transitional(false))
}

func allLabels(host string) bool {
	for _, l := range strings.Split(host, ".") {
		if len(l) > maxLabel || !label.MatchString(l) {
			return false
		}
	}
	return true
}

// UnicodeHost is a host as browsers may show it, "" where that is no other than the host itself.
func UnicodeHost(host string) string {
	shown, err := idna.Display.ToUnicode(host)
	if err != nil || shown == host {
		return ""
	}
	return shown
}

// scripts are those whose letters look like each other's.
var scripts = map[string]*unicode.RangeTable{
	"Latin": unicode.Latin, "Cyrillic": unicode.Cyrillic, "Greek": unicode.Greek, "Armenian": unicode.Armenian, "Cherokee": unicode.Cherokee,
}

// notMixed refuses a label with letters of several of them: no language is written so, and look-alikes are.
func notMixed(host string) error {
	shown := UnicodeHost(host)
	for _, l := range strings.Split(shown, ".") {
		var found []string
		for name, table := range scripts {
			if strings.ContainsFunc(l, func(r rune) bool { return unicode.Is(table, r) }) {
				found = append(found, name)
			}
		}
		if len(found) > 1 {
			slices.Sort(found)
			return Errorf(Invalid, "domain %q (%s) mixes %s letters in %q, as look-alikes do", shown, host, strings.Join(found, " and "), l).
				WithHint("type the name with the letters of one script")
		}
	}
	return nil
}

// isOwn says that a host is no address and under no domain that is served here.
func (c *Cloud) isOwn(host string) bool {
	_, err := netip.ParseAddr(host)
	return err != nil && c.domains.of(host) == "" && !slices.Contains(c.domains, host)
}

// asHost is how DNS has a host that somebody typed; what is none stays as it is.
func asHost(s string) string {
	if host, err := idnaProfile().ToASCII(strings.TrimSuffix(s, ".")); err == nil {
		return strings.ToLower(host)
	}
	return strings.ToLower(s)
}

// SiteOf tells what an SSH user name means: a full name under a served domain, or a domain that was proved for a site,
// is that site, by whichever name; anything else is the person whose key signs.
func (c *Cloud) SiteOf(user string) (site string, ok bool) {
	if site, ok := c.domains.User(user); ok {
		return site, true
	}
	host := asHost(user)
	if _, ok := (*c.hosts.Load())[host]; !ok {
		return "", false
	}
	return host, true
}
