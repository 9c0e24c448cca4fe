// Package faults walks over every request that the provider's work makes, has each
// go wrong in every way, works again without faults, and holds what the simulated
// cluster saw against what must be true in any case.
package faults

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"runtime/pprof"
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
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

var (
	caseCount = flag.Int("cases", 20, "how many single faults to draw; 0 is all")
	pairCount = flag.Int("pairs", 4, "how many pairs of faults to draw")
	seed      = flag.Uint64("seed", 1, "what they are drawn by; 0 is another one each time")
	only      = flag.String("only", "", "a pattern of the cases to draw from, as a failure names them")
	oneCase   = flag.String("case", "", "the one case to run, as a failure names it")
)

// patient is the pace of a run without faults: its limits are far beyond what it takes.
// For as long as MigrationStart it leaves the lock alone that a killed run may have left.
var patient = wait.Pace{
	Poll: 20 * time.Millisecond, Probe: 250 * time.Millisecond, Consistent: 300 * time.Millisecond, Steady: 100 * time.Millisecond,
	Healthy: time.Minute, MigrationStart: 15 * time.Second, CacheAnswer: time.Minute, Outage: time.Minute,
}

// short is the pace of a run with faults, which may fail for being slow as well: the
// next one must end well all the same.
func short() wait.Pace {
	p := patient
	p.Healthy, p.MigrationStart, p.CacheAnswer, p.Outage = 3*time.Second, 3*time.Second, 3*time.Second, 2*time.Second
	return p
}

// runLimit is one that only a run that hangs comes to, on a busy machine as well.
const runLimit = 10 * time.Minute

// attempt is one apply, and what it said.
type attempt struct {
	faults []step
	claim  claim
	err    error
	log    string
	killed bool // so that it could clean nothing up
	hung   bool
}

// apply does the work with clients of its own. A run that is killed reaches nothing from
// then on, so that it cleans nothing up either.
func apply(t *testing.T, s *scene, w work, faults []step) attempt {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	defer cancel()
	a := attempt{faults: faults}
	pace, retry := patient, endpoint.Retry{Max: 3, WaitMin: time.Millisecond, WaitMax: 10 * time.Millisecond}
	var killed atomic.Bool
	kill := func() { killed.Store(true); cancel() }
	var ends []func()
	if len(faults) > 0 {
		pace, retry = short(), endpoint.Retry{Max: repeats, WaitMin: time.Millisecond, WaitMax: 10 * time.Millisecond, Attempt: attemptLimit, Total: 3 * attemptLimit}
		ends = append(ends, s.sim.Inject(simulator.Fault{Matches: func(*http.Request) bool { return killed.Load() }, Reset: true}))
	}
	for _, f := range faults {
		if f.kind == circumstance {
			ends = append(ends, f.begin(s))
		} else {
			ends = append(ends, s.sim.Inject(f.fault(kill, cancel)))
		}
	}
	var log clustertest.Log
	a.claim, a.err = wantNothingLeft(t, func() (claim, error) {
		c := connect(t, s.sim, retry, pace)
		if w.docker {
			c.Docker = cluster.NewDocker(ucp.DockerConfig{Host: s.sim.DockerHost()})
		}
		return w.run(tflogtest.RootLogger(ctx, &log), c, s, pace)
	})
	a.log, a.killed, a.hung = log.String(), killed.Load(), errors.Is(ctx.Err(), context.DeadlineExceeded)
	s.model.afterRun(t, a)
	if len(faults) == 0 && a.err != nil {
		t.Errorf("the run without faults failed: %v", a.err)
	}
	if len(faults) == 1 && faults[0].kind == lost && a.err != nil && !w.mayFail(faults[0]) {
		t.Errorf("the run failed for a lost answer: %v", a.err)
	}
	if !killed.Load() && ctx.Err() == nil { // else the next run finds what is still at work
		clustertest.AwaitEnd(t, s.sim)
	}
	for _, end := range ends {
		end()
	}
	return a
}

// wantNothingLeft runs, and fails unless every goroutine that the run has begun ends by
// itself, before anything is cancelled. Those of connections, which stay open, do not count.
func wantNothingLeft(t *testing.T, run func() (claim, error)) (said claim, err error) {
	t.Helper()
	name := strconv.FormatUint(rand.Uint64(), 10)
	pprof.Do(t.Context(), pprof.Labels("run", name), func(context.Context) { said, err = run() })
	limit, pause := clustertest.Limited(t), wait.NewPause(100*time.Millisecond)
	for {
		left := goroutinesOf(name)
		if left == "" {
			return said, err
		}
		if pause.Wait(limit) != nil {
			t.Errorf("the run has left goroutines:\n%s", left)
			return said, err
		}
	}
}

// goroutinesOf are the goroutines that bear the name of a run.
func goroutinesOf(name string) string {
	var all, left strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&all, 1)
	for one := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(one, `"run":"`+name+`"`) && !strings.Contains(one, "net/http.(*persistConn)") {
			left.WriteString(one + "\n")
		}
	}
	return left.String()
}

func connect(t *testing.T, sim *simulator.Cluster, retry endpoint.Retry, pace wait.Pace) cluster.Cluster {
	t.Helper()
	return cluster.Cluster{
		DTR: clustertest.Must[*dtr.Client](t)(dtr.New(dtr.Config{
			URL: sim.DTRURL(), Username: sim.Username(), Password: sim.Password(), CACert: sim.CACert(), Retry: retry,
		})),
		UCP: clustertest.Must[*ucp.Client](t)(ucp.New(ucp.Config{
			URL: sim.UCPURL(), Username: sim.Username(), Password: sim.Password(), CACert: sim.CACert(), Retry: retry, Patience: pace.Outage,
		})),
		Login: bootstrap.UCP{URL: sim.UCPURL(), Username: sim.Username(), Password: sim.Password(), CA: sim.CACert()},
	}
}

// walked is one case: a work, and what goes wrong with it.
type walked struct {
	work   string
	faults []step
}

func (c walked) String() string {
	var texts []string
	for _, s := range c.faults {
		texts = append(texts, s.String())
	}
	return c.work + ": " + strings.Join(texts, " + ")
}

func (c walked) kind() string {
	if len(c.faults) > 1 {
		return "pair"
	}
	return c.faults[0].kind
}

// run works with the faults, then without.
func (c walked) run(t *testing.T) {
	t.Helper()
	w := works[slices.IndexFunc(works, func(w work) bool { return w.name == c.work })]
	s := start(t, w)
	if a := apply(t, s, w, c.faults); a.err == nil && w.once || t.Failed() {
		return
	}
	if w.once && len(s.sim.ReplicaIDs()) > len(s.model.begin) { // it could not say that it came to its end
		w.run = orThere(w.run)
	}
	s.model.awaitOthers(t)
	apply(t, s, w, nil)
}

// awaitOthers waits until nothing runs, if another administrator has started a
// bootstrapper: beside one the next run is right to refuse.
func (m *model) awaitOthers(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	others := m.foreign
	m.mu.Unlock()
	for ctx := clustertest.Limited(t); others > 0; runtime.Gosched() {
		if ours, foreign, backups := m.atWork(); len(ours)+len(foreign)+len(backups) == 0 {
			return
		}
		if ctx.Err() != nil {
			t.Fatal("another bootstrapper does not end")
		}
	}
}

// orThere takes the refusal of a join whose node has a replica already for success: it
// must be whole then.
func orThere(run func(context.Context, cluster.Cluster, *scene, wait.Pace) (claim, error)) func(context.Context, cluster.Cluster, *scene, wait.Pace) (claim, error) {
	return func(ctx context.Context, c cluster.Cluster, s *scene, pace wait.Pace) (claim, error) {
		said, err := run(ctx, c, s, pace)
		if err != nil && strings.Contains(err.Error(), "has a replica already") {
			err = nil
		}
		return said, err
	}
}

// draw picks cases from all: of each kind as many as of any other, however many
// requests it could happen to, and of each request as many as of any other.
func draw(random *rand.Rand, all []walked, singles, pairs int) []walked {
	group := func(cases []walked, by func(walked) string) [][]walked {
		groups := map[string][]walked{}
		for _, c := range cases {
			groups[by(c)] = append(groups[by(c)], c)
		}
		var list [][]walked
		for _, name := range slices.Sorted(maps.Keys(groups)) {
			list = append(list, groups[name])
		}
		return list
	}
	request := func(c walked) string {
		f := c.faults[0]
		return c.work + f.service + f.method + f.path
	}
	kinds := group(all, walked.kind)
	one := func(cases []walked) walked {
		of := group(cases, request)
		cases = of[random.IntN(len(of))]
		return cases[random.IntN(len(cases))]
	}
	var chosen []walked
	taken := map[string]bool{}
	for i := 0; len(chosen) < min(singles, len(all)) && i < 100*singles; i++ {
		c := one(kinds[i%len(kinds)])
		if !taken[c.String()] {
			taken[c.String()] = true
			chosen = append(chosen, c)
		}
	}
	for range pairs {
		first := one(kinds[random.IntN(len(kinds))])
		of := slices.DeleteFunc(slices.Clone(all), func(c walked) bool { return c.work != first.work })
		chosen = append(chosen, walked{first.work, []step{first.faults[0], one(of).faults[0]}})
	}
	return chosen
}

// TestWalk is the walk over every fault.
func TestWalk(t *testing.T) {
	before := runtime.NumGoroutine()
	if *seed == 0 {
		*seed = rand.Uint64()
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
		pattern := regexp.MustCompile(*only)
		for _, w := range works {
			t.Run("clean "+w.name, func(t *testing.T) {
				s := start(t, w)
				s.sim.ResetRequests()
				apply(t, s, w, nil)
				for _, f := range steps(w, s.sim.Requests()) {
					if c := (walked{w.name, []step{f}}); pattern.MatchString(c.String()) {
						all = append(all, c)
					}
				}
			})
		}
		if chosen = all; *caseCount > 0 {
			chosen = draw(rand.New(rand.NewPCG(*seed, 0)), all, *caseCount, *pairCount)
		}
	}
	var mu sync.Mutex
	made, broken := map[string]int{}, map[string]int{}
	t.Run("cases", func(t *testing.T) {
		for _, c := range chosen {
			t.Run(strings.ReplaceAll(c.String(), "/", "_"), func(t *testing.T) {
				t.Parallel()
				t.Cleanup(func() {
					mu.Lock()
					defer mu.Unlock()
					made[c.kind()]++
					if t.Failed() {
						broken[c.kind()]++
						t.Logf("-case='%s'", c)
					}
				})
				c.run(t)
			})
		}
	})
	out := os.Stderr
	_, _ = fmt.Fprintf(out, "Walk over %d cases, drawn by seed %d from %d single faults and their pairs:\n\n", len(chosen), *seed, len(all))
	_, _ = fmt.Fprintf(out, "%-16s %6s %7s\n", "kind of fault", "cases", "broken")
	for _, kind := range slices.Sorted(maps.Keys(made)) {
		_, _ = fmt.Fprintf(out, "%-16s %6d %7d\n", kind, made[kind], broken[kind])
	}
	wantNoGoroutines(t, before)
}

// wantNoGoroutines fails unless all that were begun since have ended.
func wantNoGoroutines(t *testing.T, before int) {
	t.Helper()
	for deadline := clustertest.Limited(t); runtime.NumGoroutine() > before+2; runtime.Gosched() {
		if deadline.Err() != nil {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
	}
}
