package builtin

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"plil.net/nuage/cloud"
)

// A bcrypt takes a core for a twentieth of a second, and anybody can ask for one: so each password is tried once and its
// result remembered, only so many are tried at a time, and who often is wrong has to wait.
const (
	hashAtOnce  = 1
	hashWaiting = 8    // who comes when so many wait is told to come back
	mostWrong   = 20   // wrong passwords of one client in wrongWhile
	maxKnown    = 4096 // passwords, and clients, that are remembered
	wrongWhile  = time.Minute
	busyRetry   = 5 // seconds
)

// passwords remembers which passwords are right, by a keyed hash that only this process can make.
type passwords struct {
	key   [32]byte
	slots chan struct{} // full while hashAtOnce are tried
	queue chan struct{}

	mu    sync.Mutex
	right map[[32]byte]bool
	wrong map[[32]byte]bool
	tries map[string]tries // wrong ones, by client
}

type tries struct {
	n     int
	since time.Time
}

func newPasswords() *passwords {
	p := &passwords{
		slots: make(chan struct{}, hashAtOnce), queue: make(chan struct{}, hashAtOnce+hashWaiting),
		right: map[[32]byte]bool{}, wrong: map[[32]byte]bool{}, tries: map[string]tries{},
	}
	_, _ = rand.Read(p.key[:]) // never fails
	return p
}

// verdict on a password.
type verdict int

const (
	isWrong verdict = iota
	isRight
	tooBusy
	tooOften
)

// check compares a password with a bcrypt hash. The time it takes tells nothing but whether it was tried before.
func (p *passwords) check(ctx context.Context, hash, password, client string, now time.Time) verdict {
	mac := hmac.New(sha256.New, p.key[:])
	fmt.Fprintf(mac, "%s\x00%s", hash, password)
	id := [32]byte(mac.Sum(nil))
	if v, known := p.known(id, client, now); known {
		return v
	}
	select {
	case p.queue <- struct{}{}:
	default:
		return tooBusy
	}
	defer func() { <-p.queue }()
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return tooBusy
	}
	defer func() { <-p.slots }()
	if v, known := p.known(id, client, now); known { // several parts of a page are asked for at once
		return v
	}
	ok := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	p.remember(id, client, ok, now)
	if ok {
		return isRight
	}
	return isWrong
}

func (p *passwords) known(id [32]byte, client string, now time.Time) (verdict, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tries[client]
	switch {
	case p.right[id]:
		return isRight, true
	case p.wrong[id]:
		return isWrong, true
	case t.n >= mostWrong && now.Sub(t.since) < wrongWhile:
		return tooOften, true
	}
	return isWrong, false
}

func (p *passwords) remember(id [32]byte, client string, ok bool, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ok {
		makeRoom(p.right)
		p.right[id] = true
		return
	}
	makeRoom(p.wrong)
	p.wrong[id] = true
	t, found := p.tries[client]
	if now.Sub(t.since) >= wrongWhile {
		t = tries{since: now}
	}
	if !found {
		makeRoom(p.tries)
	}
	t.n++
	p.tries[client] = t
}

// makeRoom forgets any one, if there are too many.
func makeRoom[K comparable, V any](m map[K]V) {
	for k := range m {
		if len(m) < maxKnown {
			return
		}
		delete(m, k)
	}
}

// enters reports whether a visitor may see a site with a password in front of it; if not, it has answered. Any user name
// will do. The password is the gateway's affair: the container does not see it.
func (p *Proxy) enters(x *exchange, route cloud.Route) bool {
	_, password, given := x.request.BasicAuth()
	verdict := isWrong
	if given && len(password) <= 72 { // bcrypt's limit
		verdict = p.passwords.check(x.request.Context(), route.Password, password, network(addressOf(x.request.RemoteAddr)), p.now())
	}
	switch verdict {
	case isRight:
		x.request.Header.Del("Authorization")
		return true
	case tooBusy:
		p.show(x, page{Status: http.StatusServiceUnavailable, Title: "Too many at the door", Retry: busyRetry,
			Text: "Many passwords are being tried at the moment."})
	case tooOften:
		p.show(x, page{Status: http.StatusTooManyRequests, Title: "Too many wrong passwords", Retry: int(wrongWhile / time.Second),
			Text: fmt.Sprintf("%d wrong passwords came from your address; the limit is %d a minute.", mostWrong, mostWrong)})
	default:
		x.Header().Set("WWW-Authenticate", `Basic realm=`+strconv.Quote(route.Site)+`, charset="UTF-8"`)
		p.show(x, page{Status: http.StatusUnauthorized, Title: "This site has a password",
			Text: fmt.Sprintf("%q is only for those who know its password. Any user name will do.", route.Site),
			Hint: "if it is yours, set another", Command: p.command("site set " + route.Site + " password=-")})
	}
	return false
}

func (p *Proxy) maintenance(route cloud.Route) page {
	return page{Status: http.StatusServiceUnavailable, Title: "This site will be back soon",
		Text: fmt.Sprintf("%q is being worked on.", route.Site), Retry: maintenanceRetry,
		Hint: "if it is yours, open it again", Command: p.command("site set " + route.Site + " maintenance=off")}
}
