package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/job"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/replica"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
)

// work is something that the provider is asked to do.
type work struct {
	name    string
	options simulator.Options
	run     func(ctx context.Context, c cluster.Cluster, sim *simulator.Cluster) error
	target  string         // version of every container in the end
	members int            // replicas in the end
	runs    map[string]int // of the bootstrapper in the end, by command
	once    bool           // it is not asked for again once it succeeded
	removes int            // which replica goes: the n-th of the start; 0 is none
}

var works = []work{
	{
		name: "upgrade", options: simulator.Options{Version: "2.5.6", Replicas: 3}, target: "2.7.8", members: 3,
		runs: map[string]int{"upgrade": 2},
		run: func(ctx context.Context, c cluster.Cluster, _ *simulator.Cluster) error {
			o := upgrade.Options{
				Target: clustertest.Version("2.7.8"), Via: clustertest.Versions("2.6.15"), Retriggers: 1, Pace: clustertest.Pace,
			}
			if _, err := upgrade.Observe(ctx, c, o); err != nil {
				return err
			}
			_, err := upgrade.Run(ctx, c, o)
			return err
		},
	},
	{
		name: "join", once: true, options: simulator.Options{Version: "2.6.8", Replicas: 3, Workers: 5}, target: "2.6.8", members: 4,
		runs: map[string]int{"join": 1},
		run: func(ctx context.Context, c cluster.Cluster, _ *simulator.Cluster) error {
			_, err := replica.Join(ctx, c, replica.Options{Node: "worker4", Pace: clustertest.Pace})
			return err
		},
	},
	{
		name: "remove", options: simulator.Options{Version: "2.6.8", Replicas: 3}, target: "2.6.8", members: 2, removes: 3,
		runs: map[string]int{"remove": 1},
		run: func(ctx context.Context, c cluster.Cluster, sim *simulator.Cluster) error {
			return replica.Remove(ctx, c, replica.Options{ReplicaID: third(sim), Pace: clustertest.Pace})
		},
	},
	{
		name: "database", options: simulator.Options{Version: "2.6.8", Replicas: 1}, target: "2.6.8", members: 1,
		run: func(ctx context.Context, c cluster.Cluster, _ *simulator.Cluster) error {
			_, err := job.UpdateDatabase(ctx, c.DTR, job.DatabaseOptions{Pace: clustertest.Pace})
			return err
		},
	},
}

var thirds sync.Map // the third replica of a cluster at its start

func third(sim *simulator.Cluster) string {
	id, _ := thirds.Load(sim)
	return id.(string)
}

// model sees what happens in the cluster, by the cluster's own account.
type model struct {
	w     work
	begin []string // replicas

	mu       sync.Mutex
	problems []string
	tokens   []string
}

func (m *model) broken(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.problems = append(m.problems, fmt.Sprintf(format, args...))
}

func watch(sim *simulator.Cluster, w work) *model {
	m := &model{w: w, begin: sim.ReplicaIDs()}
	if len(m.begin) > 2 {
		thirds.Store(sim, m.begin[2])
	}
	for _, point := range []string{simulator.BootstrapperStarted, simulator.JoinStarted, simulator.RemoveStarted} {
		sim.At(point, func() { m.started(sim) })
	}
	// Never happens: it looks on.
	sim.Inject(simulator.Fault{Matches: func(r *http.Request) bool {
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			m.mu.Lock()
			if !slices.Contains(m.tokens, token) {
				m.tokens = append(m.tokens, token)
			}
			m.mu.Unlock()
		}
		if r.Method == http.MethodPost && matches("/api/v0/jobs", r.URL.Path) {
			for _, j := range sim.Jobs() {
				if j.Status == "waiting" || j.Status == "running" {
					m.broken("a job was posted while %s %s is %s", j.Action, j.ID, j.Status)
				}
			}
		}
		return false
	}})
	return m
}

// started looks at the bootstrappers at work when one starts.
func (m *model) started(sim *simulator.Cluster) {
	var running []string
	for _, c := range sim.Containers() {
		if !c.Running() || !strings.HasPrefix(c.Name, "dtr-upgrade-") {
			continue
		}
		running = append(running, c.Name)
		if m.w.runs["upgrade"] > 0 && everywhere(sim, c.Version()) {
			m.broken("a bootstrapper was started for %s, which is reached", c.Version())
		}
	}
	if len(running) > 1 {
		m.broken("bootstrappers at once: %v", running)
	}
}

// everywhere reports whether every container runs the version.
func everywhere(sim *simulator.Cluster, version string) bool {
	for _, parts := range sim.Versions() {
		for _, v := range parts {
			if v != version {
				return false
			}
		}
	}
	return true
}

// afterRun holds what a run said against the cluster. One without faults must end well.
func (m *model) afterRun(t *testing.T, sim *simulator.Cluster, a attempt, clean bool) {
	t.Helper()
	if clean && a.err != nil {
		t.Errorf("the run without faults failed: %v", a.err)
	}
	said := a.log
	if a.err != nil {
		said += a.err.Error()
		if strings.TrimSpace(a.err.Error()) == "" || !a.killed && errors.Is(a.err, context.DeadlineExceeded) && a.err.Error() == context.DeadlineExceeded.Error() {
			t.Errorf("the error names no cause: %q", a.err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, secret := range append(slices.Clone(m.tokens), sim.Password()) {
		if strings.Contains(said, secret) {
			t.Errorf("a secret is in the log or the error")
		}
	}
	for _, p := range m.problems {
		t.Error(p)
	}
	m.problems = nil
	for command, n := range m.w.runs {
		if got := sim.Runs(command); got > n || a.err == nil && got < n {
			t.Errorf("%d runs of %s, want %d", got, command, n)
		}
	}
	ids := sim.ReplicaIDs()
	for i, id := range m.begin {
		if i+1 != m.w.removes && !slices.Contains(ids, id) {
			t.Errorf("replica %s is gone, which nobody asked to remove", id)
		}
	}
	if a.err != nil {
		return
	}
	// The run claims success.
	if len(ids) != m.w.members || len(sim.Versions()) != m.w.members {
		t.Errorf("%d replicas, containers of %d, want %d", len(ids), len(sim.Versions()), m.w.members)
	}
	if !everywhere(sim, m.w.target) {
		t.Errorf("not at %s: %v", m.w.target, sim.Versions())
	}
	clustertest.WantNoBootstrapper(t, sim)
	if m.w.name == "database" {
		for _, j := range sim.Jobs() {
			if j.Status != "done" {
				t.Errorf("job %s is %s", j.ID, j.Status)
			}
		}
	}
}
