package cloud

import "slices"

// Certificates tells how those of the hosts are, for people: Site and Status show it.
type Certificates interface {
	// Problem says in words what is wrong with the certificate of a host; "" where nothing is.
	Problem(host string) string
	// Problems are all that are known of, each with what it is about.
	Problems() []string
}

// CertificateProblem says what is wrong with the certificate of a site's names; "" where nothing is, and where no
// HTTPS is served.
func (c *Cloud) CertificateProblem(s Site) string {
	if c.Certificates == nil {
		return ""
	}
	for _, host := range append([]string{s.Name}, c.hostsOf(s)...) {
		if why := c.Certificates.Problem(host); why != "" {
			return host + ": " + why
		}
	}
	return ""
}

// hostsOf are the domains that lead to a site.
func (c *Cloud) hostsOf(s Site) (hosts []string) {
	for host, id := range *c.hosts.Load() {
		if id == s.ID {
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	return hosts
}

func (c *Cloud) certificateProblems() []string {
	if c.Certificates == nil {
		return nil
	}
	return c.Certificates.Problems()
}

// MayHaveCertificate reports whether a host leads to a site right now: by its name, or as a domain that was proved.
func (c *Cloud) MayHaveCertificate(host string) bool {
	if _, ok := (*c.hosts.Load())[host]; ok {
		return true
	}
	for _, s := range *c.table.Load() {
		if s.Name == host {
			return true
		}
	}
	return false
}
