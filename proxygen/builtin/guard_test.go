package builtin_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
)

func basic(password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("anybody:"+password))
}

// guarded is a world whose sites have a password in front of them.
func guarded(t *testing.T, cost int, changes ...func(*builtin.Proxy)) *world {
	t.Helper()
	w := newWorld(t, changes...)
	hash, err := bcrypt.GenerateFromPassword([]byte("correct horse"), cost)
	check(t, err)
	w.container(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "inside, %q", r.Header["Authorization"]) })
	w.static(map[string]string{"index.html": "inside"})
	w.publish(
		cloud.Route{Host: "blog.test", SiteID: "s1", Site: "blog.test", Type: cloud.PHP, State: cloud.Running, Password: string(hash)},
		cloud.Route{Host: "page.test", SiteID: "s2", Site: "page.test", Type: cloud.Static, State: cloud.Running, Root: "www", Password: string(hash)})
	return w
}

func TestPassword(t *testing.T) {
	t.Parallel()
	w := guarded(t, bcrypt.MinCost)
	for _, host := range []string{"blog.test", "page.test"} {
		for _, header := range []string{"", "Basic", "Basic !!!", basic(""), basic("wrong"), basic("correct hors"), basic(strings.Repeat("x", 200)),
			basic("correct horse\x00"), "Bearer correct horse"} {
			a := w.get("https://"+host+"/", "Authorization", header)
			a.want(t, 401, "has a password")
			a.wantHeader(t, "WWW-Authenticate", `Basic realm="`+host+`", charset="UTF-8"`)
			if strings.Contains(a.body, "inside") {
				t.Errorf("%q is let in", header)
			}
		}
		for range 3 {
			w.get("https://"+host+"/", "Authorization", basic("correct horse")).want(t, 200, "inside")
		}
	}
	w.get("https://blog.test/", "Authorization", basic("correct horse")).want(t, 200, "inside, []") // the container need not know
}

// TestPasswordNeedsHTTPS where there is HTTPS.
func TestPasswordNeedsHTTPS(t *testing.T) {
	t.Parallel()
	w := guarded(t, bcrypt.MinCost)
	w.get("http://page.test/").want(t, 401, "")
	w.proxy.SetDoor(cloud.Door{Host: "nuage.example", SSHPort: 22, HTTPPort: 80, HTTPSPort: 443})
	a := w.get("http://page.test/a?b")
	a.want(t, 301, "")
	a.wantHeader(t, "Location", "https://page.test/a?b")
}

// TestPasswordIsNoWayToBurnTime: bcrypt is run once for a password, and never for many at a time.
func TestPasswordIsNoWayToBurnTime(t *testing.T) {
	t.Parallel()
	w := guarded(t, bcrypt.DefaultCost, func(p *builtin.Proxy) {
		p.Shorten(time.Minute, 5*time.Minute, time.Second, time.Second) // 200 handshakes at once take a busy machine long
		now := time.Now()
		p.Clock(func() time.Time { return now }) // all of it is within one minute
	})
	w.get("https://page.test/", "Authorization", basic("correct horse")).want(t, 200, "")
	tried := w.proxy.Tried()
	client := w.client()
	var mu sync.Mutex
	answers := map[int]int{}
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			r, _ := http.NewRequestWithContext(t.Context(), "GET", "https://page.test/", nil)
			r.Header.Set("Authorization", basic(fmt.Sprint("guess", i)))
			res, err := client.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			answers[res.StatusCode]++
		})
	}
	all.Wait()
	if n := w.proxy.Tried() - tried; answers[401] > 20 || answers[401]+answers[503]+answers[429] != 200 || n > 20 {
		t.Errorf("%d were tried; answers %v", n, answers)
	}
	// Who knows it is still let in at once.
	w.get("https://page.test/", "Authorization", basic("correct horse")).want(t, 200, "inside")
	if n := w.proxy.Tried() - tried; n > 20 {
		t.Errorf("%d were tried", n)
	}
}

// TestWrongPasswordsHaveToWait, until a minute is over.
func TestWrongPasswordsHaveToWait(t *testing.T) {
	t.Parallel()
	w := guarded(t, bcrypt.MinCost)
	var mu sync.Mutex
	now := time.Now()
	w.proxy.Clock(func() time.Time { mu.Lock(); defer mu.Unlock(); return now })
	for i := range 20 {
		w.get("https://page.test/", "Authorization", basic(fmt.Sprint(i))).want(t, 401, "")
	}
	w.get("https://page.test/", "Authorization", basic("0")).want(t, 401, "") // known to be wrong: costs nothing
	a := w.get("https://page.test/", "Authorization", basic("another"))
	a.want(t, 429, "the limit is 20 a minute")
	a.wantHeader(t, "Retry-After", "60")
	mu.Lock()
	now = now.Add(time.Minute)
	mu.Unlock()
	w.get("https://page.test/", "Authorization", basic("another")).want(t, 401, "")
	w.get("https://page.test/", "Authorization", basic("correct horse")).want(t, 200, "")
}

func TestMaintenance(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.container(func(http.ResponseWriter, *http.Request) { t.Error("the container is asked") })
	for _, state := range []cloud.State{cloud.Running, cloud.Stopped, cloud.Failed} {
		w.publish(cloud.Route{Host: "blog.test", SiteID: "s1", Site: "blog.test", Type: cloud.PHP, State: state, Maintenance: true, Password: "x"})
		a := w.get("http://blog.test/x", "Accept", "text/html")
		a.want(t, 503, "will be back soon")
		a.want(t, 503, "site set blog.test maintenance=off")
		a.wantHeader(t, "Retry-After", "600")
	}
}

// TestPrefixIsOneClientRegression: who has a /64 of IPv6 does not guess from each of its addresses anew.
func TestPrefixIsOneClientRegression(t *testing.T) {
	t.Parallel()
	w := guarded(t, bcrypt.MinCost)
	for i := range 21 {
		r := httptest.NewRequest("GET", "https://page.test/", nil)
		r.TLS.ServerName, r.RemoteAddr = "page.test", fmt.Sprintf("[2001:db8::%x]:4000", i+1)
		r.Header.Set("Authorization", basic(fmt.Sprint(i)))
		answer := httptest.NewRecorder()
		w.proxy.Handler().ServeHTTP(answer, r)
		if want := map[bool]int{false: 401, true: 429}[i == 20]; answer.Code != want {
			t.Errorf("guess %d gets %d, want %d", i, answer.Code, want)
		}
	}
}
