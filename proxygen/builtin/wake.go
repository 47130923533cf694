package builtin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"plil.net/nuage/cloud"
)

// Waking is dear: one small packet starts a container. So robots wake nothing, and one client only so many sites.
var (
	errWaking = errors.New("the site is still waking up")
	errRobot  = errors.New("robots wake no site")
	errFlood  = errors.New("the client wakes too many sites")
)

const (
	robotRetry = 3600 // seconds
	floodRetry = 10   // seconds
	manyWakers = 4096 // clients remembered, before those that woke nothing of late are forgotten
)

// mayWake decides whether a request may wake the site that it asks for.
func (p *Proxy) mayWake(r *http.Request, route cloud.Route) error {
	agent := strings.ToLower(r.UserAgent())
	for _, robot := range p.robots {
		if strings.Contains(agent, robot) {
			return errRobot
		}
	}
	if !p.wakers.may(network(addressOf(r.RemoteAddr)), route.SiteID, p.wakes, p.now()) {
		return errFlood
	}
	return nil
}

func lowered(words []string) (low []string) {
	for _, w := range words {
		if w = strings.ToLower(w); w != "" { // which everybody has
			low = append(low, w)
		}
	}
	return low
}

func (p *Proxy) waking(route cloud.Route) page {
	return page{Status: http.StatusServiceUnavailable, Title: "This site is waking up",
		Text: fmt.Sprintf("Nobody has asked for %q in a while. It will be here in a moment.", route.Site), Retry: 1, Reload: true}
}

func (p *Proxy) leftAsleep(route cloud.Route) page {
	return page{Status: http.StatusServiceUnavailable, Title: "This site is asleep",
		Text: fmt.Sprintf("Nobody has asked for %q in a while, and robots do not wake it.", route.Site), Retry: robotRetry}
}

func (p *Proxy) slowed() page {
	return page{Status: http.StatusTooManyRequests, Title: "Too many sites at once", Retry: floodRetry, Reload: true,
		Text: fmt.Sprintf("Your address wakes too many sites; the limit is %d a minute.", p.wakes)}
}

// wakers remembers which sites each client woke in the last minute. Many visitors of one site count once, also those
// behind one address. The zero value is ready.
type wakers struct {
	mu   sync.Mutex
	woke map[string]map[string]time.Time
}

func (w *wakers) may(who, site string, limit int, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.woke == nil || len(w.woke) > manyWakers {
		w.forget(now)
	}
	sites := w.woke[who]
	if sites == nil {
		sites = map[string]time.Time{}
		w.woke[who] = sites
	}
	expire(sites, now)
	if _, again := sites[site]; !again && len(sites) >= limit {
		return false
	}
	sites[site] = now
	return true
}

func (w *wakers) forget(now time.Time) {
	if w.woke == nil {
		w.woke = map[string]map[string]time.Time{}
	}
	for who, sites := range w.woke {
		if expire(sites, now); len(sites) == 0 {
			delete(w.woke, who)
		}
	}
}

func expire(sites map[string]time.Time, now time.Time) {
	for site, at := range sites {
		if now.Sub(at) >= time.Minute {
			delete(sites, site)
		}
	}
}
