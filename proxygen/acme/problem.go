package acme

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

const maxWords = 300 // bytes of what an authority or a library says

// inWords is why an attempt failed: the authority's own words if it gave any.
func inWords(err error) string {
	if err == nil {
		return "no reason is known"
	}
	text := err.Error()
	var said acme.Problem
	if errors.As(err, &said) {
		text = "the authority says: " + cmp.Or(said.Detail, said.Title, said.Type)
		for _, sub := range said.Subproblems {
			text += "; " + sub.Detail
		}
	}
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "") + "…"
	}
	return strings.Join(strings.Fields(text), " ")
}

// Problem implements cloud.Certificates.
func (i *Issuer) Problem(host string) string {
	name := cmp.Or(i.covered(host), host)
	i.mu.Lock()
	p, ok := i.problems[name]
	i.mu.Unlock()
	if !ok {
		return ""
	}
	return i.tell(name, p)
}

// Problems implements cloud.Certificates.
func (i *Issuer) Problems() (all []string) {
	i.mu.Lock()
	problems := maps.Clone(i.problems)
	i.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(problems)) {
		all = append(all, name+": "+i.tell(name, problems[name]))
	}
	return all
}

// tell says what fails since when, and what there is meanwhile.
func (i *Issuer) tell(name string, p problem) string {
	text := fmt.Sprintf("failing since %s: %s", p.since.UTC().Format(time.DateTime), p.text)
	if !p.renewal {
		return "no certificate yet, " + text
	}
	for _, c := range i.cache.AllMatchingCertificates(name) {
		return fmt.Sprintf("not renewed, %s; the old one is good until %s", text, c.Leaf.NotAfter.UTC().Format(time.DateTime))
	}
	return "not renewed, " + text
}
