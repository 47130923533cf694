package command

import (
	"fmt"
	"strconv"

	"plil.net/nuage/cloud"
)

// limitsView is limits for programs: sizes in bytes, idle as "account set" takes it.
type limitsView struct {
	MaxSites int     `json:"max_sites"`
	Memory   int64   `json:"memory"`
	CPUs     float64 `json:"cpus"`
	Disk     int64   `json:"disk"`
	Idle     string  `json:"idle"`
}

func limitsOf(l cloud.Limits) limitsView {
	return limitsView{l.MaxSites, l.Memory, l.CPUs, l.Disk, cloud.FormatIdle(l.Idle)}
}

// forSite says what one site may use.
func (l limitsView) forSite(t cloud.Type) string {
	if t == cloud.Static {
		return size(l.Disk) + " disk"
	}
	return fmt.Sprintf("%s memory, %s CPU, %s disk, idle %s", size(l.Memory), cores(l.CPUs), size(l.Disk), l.Idle)
}

func size(n int64) string { return cloud.FormatSize(n) }

func cores(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
