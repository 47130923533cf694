package provision

import (
	"context"
	"encoding/json"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Usage tells what a site's container takes: memory without the files that the kernel keeps in it and can drop, and the CPU
// time since it started. Zero for one that does not run.
func (d *Docker) Usage(ctx context.Context, id string) (memory int64, cpu time.Duration, err error) {
	stats, err := d.api.ContainerStats(ctx, containerName(id), client.ContainerStatsOptions{})
	if err != nil {
		return 0, 0, d.explain(err)
	}
	defer stats.Body.Close()
	var s container.StatsResponse
	if err := json.NewDecoder(stats.Body).Decode(&s); err != nil {
		return 0, 0, d.explain(err)
	}
	cache := s.MemoryStats.Stats["total_inactive_file"] // cgroup v1
	if v2, ok := s.MemoryStats.Stats["inactive_file"]; ok && cache == 0 {
		cache = v2
	}
	return int64(s.MemoryStats.Usage - min(cache, s.MemoryStats.Usage)), time.Duration(s.CPUStats.CPUUsage.TotalUsage), nil
}
