//go:build !race

// Under the race detector memory and time are others.

package ucp

import (
	"net/http"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
)

// peak is how many MiB of memory are in use at most while f runs, above what was before.
func peak(f func()) int64 {
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	most, stop := before.HeapAlloc, make(chan struct{})
	var g sync.WaitGroup
	g.Go(func() {
		for {
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	f()
	close(stop)
	g.Wait()
	return int64(most-before.HeapAlloc) >> 20
}

// TestLongLists holds that a list takes the memory of what is kept of it: 60 MB of it are nothing, and what would have to be kept is bounded.
//
//nolint:paralleltest // it measures memory
func TestLongLists(t *testing.T) {
	none := func(Container) bool { return false }
	all := func(Container) bool { return true }
	for name, c := range map[string]struct {
		list     http.HandlerFunc
		patterns []*regexp.Regexp
		keep     func(Container) bool
		most     int64
		err      string
	}{
		"of others":        {others(60_000, "web"), nil, none, 30, ""},
		"passed over":      {others(60_000, "web"), []*regexp.Regexp{regexp.MustCompile("dtr")}, none, 30, ""},
		"of ours":          {others(200_000, "dtr"), nil, all, 150, "too long"},
		"one endless":      {always(200, `[{"Id":"`+strings.Repeat("0", 20<<20)+`"}]`), nil, none, 100, "one of its entries has more than 1048576 bytes"},
		"of empty objects": {always(200, "["+strings.Repeat("{},", 1_000_000)+"{}]"), nil, all, 200, "too long"},
		"of labels":        {always(200, "["+strings.Repeat(`{"Labels":{`+strings.Repeat(`"a":"",`, 10_000)+`"b":""}},`, 200)+"{}]"), nil, none, 100, ""},
	} {
		s := serveUCP(t, "1.37", handlers{"GET /containers/json": c.list})
		engine := s.engine()
		var err error
		mib := peak(func() { _, err = engine.SelectContainers(t.Context(), c.patterns, c.keep) })
		if mib > c.most || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %d MiB, error %v", name, mib, err)
		}
		if asked := s.asked("GET /v1.37/containers/json"); len(asked) != 1 {
			t.Errorf("%s: asked %d times", name, len(asked))
		}
	}
}
