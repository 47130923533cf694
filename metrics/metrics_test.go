package metrics_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/metrics"
)

func look(t *testing.T, h http.Handler, path string) (status int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	text, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(text)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	var sick error
	m := metrics.New()
	h := m.Handler(metrics.Sources{
		States:    func() map[cloud.State]int { return map[cloud.State]int{cloud.Running: 3} },
		StoreSize: func() int64 { return 4096 }, Lost: func() int64 { return 7 }, Version: "1.0",
		Healthy: func(context.Context) error { return sick },
	})
	m.Login("ok")
	m.Session(+1)
	m.Session(+1)
	m.Session(-1)
	m.Saw(cloud.Event{Action: cloud.SiteCreate, Result: "quota", Account: "somebody"})
	m.Saw(cloud.Event{Action: cloud.FilePut, Result: "ok", Bytes: 1000, Path: "/secret"})
	m.Saw(cloud.Event{Action: cloud.FileGet, Result: "ok", Bytes: -1})
	m.Saw(cloud.Event{Action: cloud.SiteExec, Result: "ok", Received: 20, Sent: 30})
	m.Saw(cloud.Event{Action: cloud.SiteExecStart, Result: "ok"})
	m.Woke(300*time.Millisecond, nil)
	m.Woke(time.Second, cloud.Errorf(cloud.Unavailable, "down"))
	m.Request(404)
	_, text := look(t, h, "/metrics")
	for _, want := range []string{
		`nuage_logins_total{result="ok"} 1`, `nuage_logins_total{result="refused"} 0`, "nuage_sessions 1",
		`nuage_verbs_total{action="site.create",result="quota"} 1`, `nuage_verbs_total{action="site.exec",result="ok"} 1`,
		`nuage_transfers_total{action="put",result="ok"} 1`, `nuage_bytes_total{direction="in"} 1020`, `nuage_bytes_total{direction="out"} 30`,
		`nuage_wake_seconds_bucket{result="ok",le="0.5"} 1`, `nuage_wake_seconds_count{result="unavailable"} 1`,
		`nuage_http_requests_total{code="404"} 1`, `nuage_sites{state="running"} 3`, `nuage_sites{state="failed"} 0`,
		"nuage_store_bytes 4096", "nuage_audit_lost_total 7", `nuage_build_info{version="1.0"} 1`, "go_goroutines", "process_resident_memory_bytes",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(text, "somebody") || strings.Contains(text, "secret") || strings.Contains(text, "exec.start") {
		t.Error("it tells names")
	}
	if status, text := look(t, h, "/healthz"); status != 200 || text != "ok\n" {
		t.Errorf("healthy: %d %q", status, text)
	}
	sick = errors.New("the engine is down")
	if status, text := look(t, h, "/healthz"); status != 503 || !strings.Contains(text, "engine is down") {
		t.Errorf("sick: %d %q", status, text)
	}
}
