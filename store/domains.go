package store

import "plil.net/nuage/cloud"

// domainKey sorts by host: neither a host nor an id has a space.
func domainKey(host, site string) string {
	if host == "" || site == "" {
		return ""
	}
	return host + " " + site
}

func (t tx) Domain(host, site string) (d cloud.Domain, err error) {
	return d, t.load(domains, domainKey(host, site), &d, "domain")
}

func (t tx) Domains() ([]cloud.Domain, error) { return list[cloud.Domain](t, domains) }

func (t tx) PutDomain(d cloud.Domain) error {
	all, err := t.Domains()
	if err != nil {
		return err
	}
	for _, o := range all {
		if o.Host == d.Host && o.Site != d.Site && o.Active() && d.Active() {
			return cloud.Errorf(cloud.Conflict, "the domain %q is proved for another site", d.Host)
		}
	}
	return t.save(domains, domainKey(d.Host, d.Site), d)
}

func (t tx) DeleteDomain(host, site string) error { return t.drop(domains, domainKey(host, site)) }
