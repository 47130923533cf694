package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"plil.net/nuage/cloud"
)

// states are shown also where there is no site in them.
var states = []cloud.State{cloud.Running, cloud.Stopped, cloud.Asleep, cloud.Failed}

// looked is what is not counted but looked up at each look.
type looked struct{ Sources }

var (
	sites     = prometheus.NewDesc("nuage_sites", "Sites by state.", []string{"state"}, nil)
	storeSize = prometheus.NewDesc("nuage_store_bytes", "Size of the store.", nil, nil)
	lost      = prometheus.NewDesc("nuage_audit_lost_total", "Events that audit.file or syslog did not take; the store has them.", nil, nil)
	build     = prometheus.NewDesc("nuage_build_info", "The version.", []string{"version"}, nil)
)

func (l looked) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sites, storeSize, lost, build} {
		to <- d
	}
}

func (l looked) Collect(to chan<- prometheus.Metric) {
	now := l.States()
	for _, state := range states {
		to <- prometheus.MustNewConstMetric(sites, prometheus.GaugeValue, float64(now[state]), string(state))
	}
	to <- prometheus.MustNewConstMetric(storeSize, prometheus.GaugeValue, float64(l.StoreSize()))
	to <- prometheus.MustNewConstMetric(lost, prometheus.CounterValue, float64(l.Lost()))
	to <- prometheus.MustNewConstMetric(build, prometheus.GaugeValue, 1, l.Version)
}
