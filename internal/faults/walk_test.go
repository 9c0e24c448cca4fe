// Package faults walks over every request that the provider's work makes, has each
// go wrong in every way, works again without faults, and holds what the simulated
// cluster saw against what must be true in any case.
package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflogtest"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

var (
	caseCount = flag.Int("cases", 10, "how many single faults to draw; 0 is all")
	pairCount = flag.Int("pairs", 2, "how many pairs of faults to draw")
	seed      = flag.Uint64("seed", 1, "what they are drawn by; 0 is another one each time")
	oneCase   = flag.String("case", "", "the one case to run, as a failure names it")
)

// step is one fault at one request: the n-th of its kind, counted from 0.
type step struct {
	service, method, path string
	n                     int
	kind                  string
}

func (s step) String() string {
	return fmt.Sprintf("%s %s %s %d %s", s.service, s.method, s.path, s.n, s.kind)
}

// parseStep reads what String wrote.
func parseStep(t *testing.T, text string) step {
	t.Helper()
	f := strings.Fields(text)
	if len(f) != 5 {
		t.Fatalf("%q is no fault: service, method, path, ordinal, kind", text)
	}
	n := clustertest.Must[int](t)(strconv.Atoi(f[3]))
	return step{f[0], f[1], f[2], n, f[4]}
}

const (
	killBefore = "kill-before"
	killAfter  = "kill-after"
	incomplete = "incomplete"
	lost       = "lost"
	truncated  = "truncated"
	timeout    = "time-out"
)

// repeats is how often the client repeats a request, so that a fault lasts longer.
const repeats = 1

// fault is what the simulator is to do; kill ends the run.
func (s step) fault(kill func()) simulator.Fault {
	f := simulator.Fault{Service: s.service, Method: s.method, Path: s.path, Skip: s.n, Times: repeats + 1}
	switch s.kind {
	case "reset":
		f.Reset = true
	case timeout:
		f.Delay = time.Minute
	case "500", "401", "403", "404":
		f.Status, f.Body = status(s.kind), `{"message":"injected"}`
	case "503":
		f.Status, f.Header = http.StatusServiceUnavailable, http.Header{"Retry-After": {"1"}}
	case "garbage":
		f.Garbage = true
	case truncated:
		f.Truncate = true
	case lost:
		f.AfterEffect, f.Times = true, 1
	case incomplete:
		f.Rewrite, f.Times = half, 1
	case killBefore:
		var seen atomic.Int64
		f.Matches = func(*http.Request) bool {
			if seen.Add(1) == int64(s.n)+1 {
				kill()
			}
			return true
		}
		f.Reset = true
	case killAfter:
		f.Rewrite, f.Times = func(status int, body []byte) (int, []byte) { kill(); return status, body }, 1
	}
	return f
}

func status(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// half leaves out the second half of a list, and of a list in an object.
func half(status int, body []byte) (int, []byte) {
	var list []json.RawMessage
	if json.Unmarshal(body, &list) == nil {
		body, _ = json.Marshal(list[:len(list)/2])
		return status, body
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) == nil {
		for k, v := range object {
			if json.Unmarshal(v, &list) == nil {
				object[k], _ = json.Marshal(list[:len(list)/2])
			}
		}
		body, _ = json.Marshal(object)
	}
	return status, body
}

var (
	version = regexp.MustCompile(`^/v1\.\d+/`)
	changes = regexp.MustCompile(`^[0-9a-f]{12,}$|^[0-9a-f]{8}-[0-9a-f-]+$|dtr-upgrade`) // from one run to the next
)

// kinds are the ways in which a request can go wrong.
func kinds(method, p string) []string {
	stream := strings.HasSuffix(p, "/logs") || strings.HasSuffix(p, "/attach") || strings.HasSuffix(p, "/wait")
	list := []string{"reset", timeout, "500", "503", "401", "403", "404", "garbage"}
	switch {
	case stream:
	case method == http.MethodGet:
		list = append(list, truncated, incomplete)
	case strings.HasPrefix(p, "/auth/"):
		list = append(list, truncated, lost)
	default:
		list = append(list, truncated, lost, killBefore, killAfter)
	}
	return list
}

// steps are all faults at the requests that were made.
func steps(requests []simulator.Request) []step {
	var all []step
	count := map[step]int{}
	for _, r := range requests {
		if r.Bootstrapper() {
			continue
		}
		p := version.ReplaceAllString(r.Path, "/")
		parts := strings.Split(p, "/")
		for i, part := range parts {
			if changes.MatchString(part) {
				parts[i] = "*"
			}
		}
		s := step{service: r.Service, method: r.Method, path: strings.Join(parts, "/")}
		n := count[s]
		count[s]++
		for _, kind := range kinds(r.Method, p) {
			all = append(all, step{s.service, s.method, s.path, n, kind})
		}
	}
	return all
}

// attempt is one apply, and what it said.
type attempt struct {
	err    error
	log    string
	killed bool
}

// apply does the work with clients of its own. A run that is killed reaches nothing from
// then on, so that it cleans nothing up either.
func apply(t *testing.T, sim *simulator.Cluster, w work, faults []step) attempt {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var killed atomic.Bool
	kill := func() { killed.Store(true); cancel() }
	removes := []func(){sim.Inject(simulator.Fault{Matches: func(*http.Request) bool { return killed.Load() }, Reset: true})}
	for _, s := range faults {
		removes = append(removes, sim.Inject(s.fault(kill)))
	}
	var log syncBuffer
	err := w.run(tflogtest.RootLogger(ctx, &log), connect(t, sim), sim)
	for _, remove := range removes {
		remove()
	}
	return attempt{err, log.String(), killed.Load()}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

var _ io.Writer = (*syncBuffer)(nil)

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}
func (b *syncBuffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

func connect(t *testing.T, sim *simulator.Cluster) cluster.Cluster {
	t.Helper()
	retry := endpoint.Retry{Max: repeats, WaitMin: time.Millisecond, WaitMax: 10 * time.Millisecond, Attempt: 2 * time.Second, Total: 5 * time.Second}
	return cluster.Cluster{
		DTR: clustertest.Must[*dtr.Client](t)(dtr.New(dtr.Config{
			URL: sim.DTRURL(), Username: sim.Username(), Password: sim.Password(), CACert: sim.CACert(), Retry: retry,
		})),
		UCP: clustertest.Must[*ucp.Client](t)(ucp.New(ucp.Config{
			URL: sim.UCPURL(), Username: sim.Username(), Password: sim.Password(), CACert: sim.CACert(), Retry: retry,
		})),
		Login: bootstrap.UCP{URL: sim.UCPURL(), Username: sim.Username(), Password: sim.Password(), CA: sim.CACert()},
	}
}

// TestWalk is the walk over every fault.
func TestWalk(t *testing.T) {
	before := runtime.NumGoroutine()
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	random := rand.New(rand.NewPCG(*seed, 0))
	type walked struct {
		work   string
		faults []step
	}
	var all, chosen []walked
	if *oneCase != "" {
		name, faults, _ := strings.Cut(*oneCase, ": ")
		c := walked{work: name}
		for text := range strings.SplitSeq(faults, " + ") {
			c.faults = append(c.faults, parseStep(t, text))
		}
		chosen = []walked{c}
	} else {
		perWork := map[string][]step{}
		for _, w := range works {
			t.Run("clean "+w.name, func(t *testing.T) {
				sim, m := start(t, w)
				sim.ResetRequests()
				m.afterRun(t, sim, apply(t, sim, w, nil), true)
				perWork[w.name] = steps(sim.Requests())
			})
			for _, s := range perWork[w.name] {
				all = append(all, walked{w.name, []step{s}})
			}
		}
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		chosen = all
		if *caseCount > 0 {
			chosen = slices.Clone(all[:min(*caseCount, len(all))])
		}
		for range *pairCount {
			w := works[random.IntN(len(works))].name
			if of := perWork[w]; len(of) > 0 {
				chosen = append(chosen, walked{w, []step{of[random.IntN(len(of))], of[random.IntN(len(of))]}})
			}
		}
	}
	var mu sync.Mutex
	made, broken := map[string]int{}, map[string]int{}
	t.Run("cases", func(t *testing.T) {
		for _, c := range chosen {
			kind, texts := "pair", []string{}
			for _, s := range c.faults {
				texts = append(texts, s.String())
			}
			if len(c.faults) == 1 {
				kind = c.faults[0].kind
			}
			name := c.work + ": " + strings.Join(texts, " + ")
			t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
				t.Parallel()
				t.Cleanup(func() {
					mu.Lock()
					defer mu.Unlock()
					made[kind]++
					if t.Failed() {
						broken[kind]++
						t.Logf("-case='%s'", name)
					}
				})
				walk(t, works[slices.IndexFunc(works, func(w work) bool { return w.name == c.work })], c.faults)
			})
		}
	})
	t.Logf("walk: seed %d, %d cases, drawn from %d single faults and their pairs", *seed, len(chosen), len(all))
	for _, kind := range slices.Sorted(maps.Keys(made)) {
		t.Logf("walk: %-12s %4d cases, %d broken", kind, made[kind], broken[kind])
	}
	deadline := clustertest.Limited(t)
	for runtime.NumGoroutine() > before+2 {
		if deadline.Err() != nil {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
		runtime.Gosched()
	}
}

// walk works with the faults, then without.
func walk(t *testing.T, w work, faults []step) {
	t.Helper()
	sim, m := start(t, w)
	first := apply(t, sim, w, faults)
	m.afterRun(t, sim, first, false)
	clustertest.AwaitEnd(t, sim)
	second := first
	if first.err != nil || !w.once {
		second = apply(t, sim, w, nil)
	}
	if w.once && second.err != nil && strings.Contains(second.err.Error(), "has a replica already") {
		second.err = nil // it came to its end and could not say so: it must be whole
	}
	m.afterRun(t, sim, second, true)
}

func start(t *testing.T, w work) (*simulator.Cluster, *model) {
	t.Helper()
	sim := simulatortest.Start(t, simulatortest.Weathered(w.options))
	return sim, watch(sim, w)
}

// matches tells the path of a request from others.
func matches(pattern, p string) bool {
	ok, _ := path.Match(pattern, version.ReplaceAllString(p, "/"))
	return ok
}
