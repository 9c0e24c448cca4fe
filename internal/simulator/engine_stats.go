package simulator

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/moby/moby/api/types/container"
)

// statsAPI is the part of the Engine API about what containers use.
type statsAPI struct{ engine *engine }

func (a statsAPI) routes() []engineRoute {
	return []engineRoute{{"GET", "/containers/*/stats", a.stats}}
}

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
func (a statsAPI) stats(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	stream := r.URL.Query().Get("stream") == "" || isSet(r, "stream")
	oneShot := isSet(r, "one-shot") && compareAPI(a.engine.apiVersion, "1.41") >= 0
	if stream && oneShot {
		return errorf(http.StatusBadRequest, "cannot have stream=true and one-shot=true")
	}
	sample, err := a.sample(s, name)
	if err != nil {
		return err
	}
	if !stream && !oneShot {
		sample.PreRead = sample.Read.Add(-statsInterval)
		if err := a.engine.clock.Sleep(r.Context(), statsInterval); err != nil {
			return err
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if json.NewEncoder(w).Encode(sample) == nil && stream {
		a.streamStats(s, w, r, name)
	}
	return nil
}

// streamStats adds a sample every second, for as long as there is something to tell
// and somebody to tell it to.
func (a statsAPI) streamStats(s scope, w http.ResponseWriter, r *http.Request, name string) {
	for {
		_ = http.NewResponseController(w).Flush()
		if a.engine.clock.Pause(r.Context(), statsInterval) != nil {
			return
		}
		sample, err := a.sample(s, name)
		if err != nil || json.NewEncoder(w).Encode(sample) != nil {
			return
		}
	}
}

// sample is what a container uses now.
func (a statsAPI) sample(s scope, name string) (container.StatsResponse, error) {
	a.engine.mu.Lock()
	defer a.engine.mu.Unlock()
	c, err := a.engine.reachable(s, name)
	if err != nil {
		return container.StatsResponse{}, err
	}
	return c.stats(time.Now()), nil
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
		Usage: containerMemory, MaxUsage: containerMemory + containerMemory/4, Limit: uint64(c.node.memory),
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
