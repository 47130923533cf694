package login_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/login/logintest"
)

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	s := newSchool(t, logintest.Options{})
	server := s.server()
	s.Close()
	_, err := server.Begin(t.Context())
	var e *cloud.Error
	if !errors.As(err, &e) || e.Kind != cloud.Unavailable || !strings.Contains(e.Hint, "keys that are known still let in") || strings.Contains(e.Message+e.Hint, "127.0.0.1") {
		t.Errorf("%+v", e)
	}
}

// TestGoesAway cuts connections while somebody waits, and answers 503, and comes back.
func TestGoesAway(t *testing.T) {
	t.Parallel()
	s := newSchool(t, logintest.Options{})
	i := s.begin()
	var asked atomic.Int32
	s.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasPrefix(r.URL.Path, "/device"):
			return false
		case asked.Add(1) == 1:
			return logintest.Away(w, r)
		case asked.Load() == 2:
			http.Error(w, "down for repair", http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	s.browse(i, "jean", true)
	if who, err := i.Wait(t.Context()); err != nil || who.Subject != "subject-1" || asked.Load() < 3 {
		t.Errorf("%+v %v, asked %d times", who, err, asked.Load())
	}
}

// TestSlowDown: who is told to slow down waits 5 seconds more from then on, and is not sent away.
func TestSlowDown(t *testing.T) {
	t.Parallel()
	s := newSchool(t, logintest.Options{})
	i := s.begin()
	var told atomic.Int64
	s.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/token") {
			return false
		}
		if told.CompareAndSwap(0, time.Now().UnixNano()) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"slow_down"}`)
			return true
		}
		if waited := time.Since(time.Unix(0, told.Load())); waited < 5*time.Second {
			t.Errorf("asked again after %s", waited)
		}
		return false
	})
	s.browse(i, "jean", true)
	if _, err := i.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSlow(t *testing.T) {
	t.Parallel()
	s := newSchool(t, logintest.Options{})
	s.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-time.After(700 * time.Millisecond): // an answer that takes its time is an answer
		case <-r.Context().Done():
		}
		return false
	})
	i := s.begin()
	s.browse(i, "jean", true)
	if _, err := i.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}
