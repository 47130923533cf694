package cloud

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

const maxLabel = 63 // RFC 1035 section 2.3.4

// reservedLabels are first labels that people would take for the school's own or that programs look up
// by themselves.
var reservedLabels = strings.Fields(`admin administrator api autoconfig autodiscover cloud dns ftp gateway git help
	hostmaster imap localhost login mail mx ns ns1 ns2 nuage operator pop postmaster proxy root sftp smtp ssh sso
	status support webmail webmaster wpad www`)

// Domains are the domains under which sites have their names. The first is the default one.
type Domains []string

// Parse reads the name of a site as people type it: a full name under one of the domains, or a first label
// under the default one. Errors are Invalid and say the rule.
func (d Domains) Parse(s string) (string, error) {
	first, domain := s, d[0]
	if under := d.of(s); under != "" {
		first, domain = strings.TrimSuffix(s, "."+under), under
	}
	if err := d.checkLabel(s, first); err != nil {
		return "", err
	}
	return first + "." + domain, nil
}

// User tells what an SSH user name means: a full name under one of the domains is a site; anything else is
// the person whose key signs.
func (d Domains) User(user string) (site string, ok bool) {
	user = strings.ToLower(user)
	if d.of(user) == "" {
		return "", false
	}
	return user, true
}

// of finds the longest served domain that s is under; "" if none.
func (d Domains) of(s string) string {
	best := ""
	for _, domain := range d {
		if strings.HasSuffix(s, "."+domain) && len(domain) > len(best) {
			best = domain
		}
	}
	return best
}

func (d Domains) checkLabel(whole, first string) error {
	lower := strings.ToLower(whole)
	switch {
	case whole == "":
		return Errorf(Invalid, "the name of the site is empty").WithHint("name it like %q", "blog."+d[0])
	case isIP(whole):
		return Errorf(Invalid, "%q is an address, not a name", whole).WithHint("name it like %q", "blog."+d[0])
	case lower != whole && label.MatchString(strings.ToLower(first)):
		return Errorf(Invalid, "site name %q has upper-case letters", whole).WithHint("try %q", lower)
	case strings.HasPrefix(first, "xn--"):
		return Errorf(Invalid, "site name %q is punycode, which could look like another name", whole).
			WithHint("use a-z, 0-9 and - only")
	case strings.Contains(strings.Trim(first, "."), "."):
		return Errorf(Invalid, "site name %q is not directly under a domain served here", whole).
			WithHint("served here: %s; name it like %q", strings.Join(d, ", "), "blog."+d[0])
	case len(first) > maxLabel:
		return Errorf(Invalid, "site name %q has %d characters before the domain; the limit is %d", whole, len(first), maxLabel)
	case !label.MatchString(first):
		return Errorf(Invalid, "site name %q is not valid", whole).
			WithHint("use a-z, 0-9 and - (not first or last), like %q", "blog."+d[0])
	case slices.Contains(reservedLabels, first):
		return Errorf(Invalid, "site name %q is reserved", whole).WithHint("choose another name")
	}
	return nil
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return err == nil
}
