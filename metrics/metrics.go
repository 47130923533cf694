// Package metrics counts what goes on and shows it to Prometheus on a door of its own, with /healthz beside it. It sees
// numbers and words that are ours: no name of a person, a site or a file becomes a label.
package metrics

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"plil.net/nuage/cloud"
)

// Sources are asked at each look. All are needed.
type Sources struct {
	States    func() map[cloud.State]int
	StoreSize func() int64 // bytes; -1 if unknown
	Lost      func() int64 // events that a file or syslog did not take
	Healthy   func(context.Context) error
	Version   string
}

// Metrics are the counters. Its methods may be called concurrently.
type Metrics struct {
	registry  *prometheus.Registry
	logins    *prometheus.CounterVec
	sessions  prometheus.Gauge
	verbs     *prometheus.CounterVec
	transfers *prometheus.CounterVec
	bytes     *prometheus.CounterVec
	wakes     *prometheus.HistogramVec
	requests  *prometheus.CounterVec
}

var _ cloud.Witness = (*Metrics)(nil)

// New makes the counters; Watch gives them what else to show.
func New() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "nuage", Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry:  prometheus.NewRegistry(),
		logins:    counter("logins_total", "Connections to the SSH door: ok, failed, silent, late, refused, paced.", "result"),
		sessions:  prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "nuage", Name: "sessions", Help: "Open SSH sessions."}),
		verbs:     counter("verbs_total", "What people asked for, by action and result: ok or the kind of failure.", "action", "result"),
		transfers: counter("transfers_total", "Files put and got.", "action", "result"),
		bytes:     counter("bytes_total", "Bytes of files and programs, in and out.", "direction"),
		wakes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "nuage", Name: "wake_seconds", Help: "How long sites that slept took to come up.",
			Buckets: []float64{.1, .25, .5, 1, 2, 5, 10, 30},
		}, []string{"result"}),
		requests: counter("http_requests_total", "Requests for sites, by status.", "code"),
	}
	m.registry.MustRegister(m.logins, m.sessions, m.verbs, m.transfers, m.bytes, m.wakes, m.requests,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, result := range []string{"ok", "failed", "silent", "late", "refused", "paced"} {
		m.logins.WithLabelValues(result) // a rate needs a zero before the first one
	}
	return m
}

// Login counts a connection to the SSH door.
func (m *Metrics) Login(result string) { m.logins.WithLabelValues(result).Inc() }

// Session counts sessions in and out.
func (m *Metrics) Session(n int) { m.sessions.Add(float64(n)) }

// Saw implements cloud.Witness.
func (m *Metrics) Saw(e cloud.Event) {
	switch e.Action {
	case cloud.FilePut:
		m.transfers.WithLabelValues("put", e.Result).Inc()
		m.bytes.WithLabelValues("in").Add(float64(max(0, e.Bytes)))
	case cloud.FileGet:
		m.transfers.WithLabelValues("get", e.Result).Inc()
		m.bytes.WithLabelValues("out").Add(float64(max(0, e.Bytes)))
	case cloud.Login, cloud.SiteExecStart: // counted at the door, and at its end
	default:
		m.verbs.WithLabelValues(string(e.Action), e.Result).Inc()
	}
	m.bytes.WithLabelValues("in").Add(float64(max(0, e.Received)))
	m.bytes.WithLabelValues("out").Add(float64(max(0, e.Sent)))
}

// Woke implements cloud.Witness.
func (m *Metrics) Woke(took time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = string(cloud.KindOf(err))
	}
	m.wakes.WithLabelValues(result).Observe(took.Seconds())
}

// Request counts a request for a site.
func (m *Metrics) Request(status int) { m.requests.WithLabelValues(strconv.Itoa(status)).Inc() }

// Handler answers /metrics and /healthz.
func (m *Metrics) Handler(s Sources) http.Handler {
	own := prometheus.NewRegistry()
	own.MustRegister(looked{s})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{m.registry, own}, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), healthTime)
		defer cancel()
		if err := s.Healthy(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	return mux
}

const healthTime = 5 * time.Second
