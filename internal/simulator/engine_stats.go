package simulator

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/moby/moby/api/types/container"
)

// What a running container uses, whichever it is: its memory, and the part of it
// that is cache of files and is given up when memory is short.
const (
	containerMemory = 320 << 20
	containerCache  = 64 << 20
)

// statsInterval is how far apart the samples of a stream are, and the two that an
// engine takes where it is asked for one.
const statsInterval = time.Second

// serveStats tells what a container uses, in the form of cgroup version 1: once,
// or every second until the client goes away.
func (e *engine) serveStats(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	stream := r.URL.Query().Get("stream") == "" || isSet(r, "stream")
	oneShot := isSet(r, "one-shot") && compareAPI(e.apiVersion, "1.41") >= 0
	if stream && oneShot {
		return errorf(http.StatusBadRequest, "cannot have stream=true and one-shot=true")
	}
	w.Header().Set("Content-Type", "application/json")
	for first := true; ; first = false {
		e.mu.Lock()
		c, err := e.reachable(s, name)
		if err != nil {
			e.mu.Unlock()
			if first {
				return err
			}
			return nil
		}
		sample, limit := c.stats(time.Now()), c.node.memory
		e.mu.Unlock()
		if sample.MemoryStats.Usage > 0 {
			sample.MemoryStats.Limit = uint64(limit) //nolint:gosec // never negative
		}
		if first && !stream && !oneShot {
			sample.PreRead = sample.Read.Add(-statsInterval)
			if err := e.clock.sleep(r.Context(), statsInterval); err != nil {
				return err
			}
		}
		if err := json.NewEncoder(w).Encode(sample); err != nil || !stream {
			return nil //nolint:nilerr // the client went away
		}
		_ = http.NewResponseController(w).Flush()
		if e.clock.pause(r.Context(), statsInterval) != nil {
			return nil
		}
	}
}

// stats is one sample; that of a container that does not run is empty. The lock
// must be held.
func (c *ctr) stats(now time.Time) container.StatsResponse {
	sample := container.StatsResponse{ID: c.id, Name: "/" + c.name}
	if c.state != container.StateRunning {
		return sample
	}
	sample.Read = now
	sample.PidsStats.Current = 12
	sample.MemoryStats = container.MemoryStats{
		Usage: containerMemory, MaxUsage: containerMemory + containerMemory/4,
		Stats: map[string]uint64{
			"cache": containerCache + containerCache/2, "rss": containerMemory - 2*containerCache, "mapped_file": containerCache / 2,
			"active_file": containerCache / 2, "inactive_file": containerCache,
			"total_cache": containerCache + containerCache/2, "total_rss": containerMemory - 2*containerCache,
			"total_active_file": containerCache / 2, "total_inactive_file": containerCache,
			"hierarchical_memory_limit": 9223372036854771712,
		},
	}
	return sample
}
