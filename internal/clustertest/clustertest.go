// Package clustertest connects tests to a simulated cluster, and makes clusters
// that were never run for tests of what judges them.
package clustertest

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// Speed makes a rollout of three replicas take a fraction of a second.
const Speed = 2000

// Pace suits that speed. Its limits are far beyond what a run takes that goes
// well, also on a busy machine.
var Pace = wait.Pace{
	Poll:           30 * time.Millisecond,
	Probe:          100 * time.Millisecond,
	Consistent:     300 * time.Millisecond,
	Healthy:        time.Minute,
	Steady:         100 * time.Millisecond,
	MigrationStart: time.Minute,
	Outage:         time.Minute,
}

// retry gives up on an answer after a few tries in quick succession.
var retry = endpoint.Retry{Max: 3, WaitMin: time.Millisecond, WaitMax: 10 * time.Millisecond}

// Start simulates a cluster of three replicas and connects to it.
func Start(t *testing.T, version string) (*simulator.Cluster, cluster.Cluster) {
	t.Helper()
	return Connect(t, simulator.Options{Version: version, Replicas: 3, Speed: Speed})
}

// Connect simulates a cluster and connects to it.
func Connect(t *testing.T, o simulator.Options) (*simulator.Cluster, cluster.Cluster) {
	t.Helper()
	sim := simulatortest.Start(t, simulatortest.Weathered(o))
	return sim, cluster.Cluster{
		DTR: Must[*dtr.Client](t)(dtr.New(dtr.Config{
			URL: sim.DTRURL(), Username: sim.Username(), Password: sim.Password(), CACert: sim.CACert(), Retry: retry,
		})),
		UCP: Must[*ucp.Client](t)(ucp.New(ucp.Config{
			URL: sim.UCPURL(), Username: sim.Username(), Password: sim.Password(), CACert: sim.CACert(), Retry: retry,
		})),
		Login: bootstrap.UCP{URL: sim.UCPURL(), Username: sim.Username(), Password: sim.Password(), CA: sim.CACert()},
	}
}

// Roomy simulates a cluster of so many replicas on eight workers, at 2.6.8, and
// connects to it.
func Roomy(t *testing.T, replicas int) (*simulator.Cluster, cluster.Cluster) {
	t.Helper()
	return Connect(t, simulator.Options{Version: "2.6.8", Replicas: replicas, Workers: 8, Speed: Speed})
}

// Log keeps what is logged, also by goroutines that outlive the call that a test looks at.
type Log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Take returns what was logged, and forgets it.
func (l *Log) Take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

// Limited is a context with a limit that only a run that hangs comes to.
func Limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// Must returns a value, and fails the test for an error.
func Must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// AsError is the error as the type, and fails the test when it is none.
func AsError[E error](t *testing.T, err error) E {
	t.Helper()
	var want E
	if !errors.As(err, &want) {
		t.Fatalf("got error %v (%T), want a %T", err, err, want)
	}
	return want
}

// WantAt fails unless every container of the simulated cluster runs the version.
func WantAt(t *testing.T, sim *simulator.Cluster, version string) {
	t.Helper()
	for id, parts := range sim.Versions() {
		if len(parts) != len(bootstrap.Parts) {
			t.Errorf("replica %s has %d containers", id, len(parts))
		}
		for part, v := range parts {
			if v != version {
				t.Errorf("%s of replica %s runs %s, not %s", part, id, v, version)
			}
		}
	}
}

// WantNoBootstrapper fails if a container of the bootstrapper is left over.
func WantNoBootstrapper(t *testing.T, sim *simulator.Cluster) {
	t.Helper()
	for _, c := range sim.Containers() {
		if strings.HasPrefix(c.Name, "dtr-upgrade-") || c.Name == cluster.Phase2Name {
			t.Errorf("container %s (%s) is left over", c.Name, c.State)
		}
	}
}

// WantMembers fails unless the roomy cluster has so many replicas, complete and at
// its version, and nothing is left over.
func WantMembers(t *testing.T, sim *simulator.Cluster, n int) {
	t.Helper()
	if got := len(sim.ReplicaIDs()); got != n {
		t.Errorf("%d replicas, want %d", got, n)
	}
	if got := len(sim.Versions()); got != n {
		t.Errorf("containers of %d replicas, want %d", got, n)
	}
	WantAt(t, sim, "2.6.8")
	WantNoBootstrapper(t, sim)
}

// WantChecks fails unless each of the checks has found something.
func WantChecks(t *testing.T, findings preflight.Findings, want ...preflight.Check) {
	t.Helper()
	for _, check := range want {
		if !slices.ContainsFunc(findings, func(f preflight.Finding) bool { return f.Check == check }) {
			t.Errorf("no finding of %s among %+v", check, findings)
		}
	}
}

// Second is the error beside a value.
func Second[T any](_ T, err error) error { return err }

// AwaitEnd waits until no bootstrapper of the simulated cluster runs.
func AwaitEnd(t *testing.T, sim *simulator.Cluster) {
	t.Helper()
	atWork := func(c simulator.Container) bool {
		return c.State == "running" && (strings.HasPrefix(c.Name, "dtr-upgrade-") || c.Name == cluster.Phase2Name)
	}
	for ctx := Limited(t); slices.ContainsFunc(sim.Containers(), atWork); runtime.Gosched() {
		if ctx.Err() != nil {
			t.Fatal("the bootstrapper does not end")
		}
	}
}

// Bundle writes the vendor's archive of a version, compressed if its name says so.
func Bundle(t *testing.T, repository, version, name string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	f := Must[*os.File](t)(os.Create(name))
	defer f.Close()
	var w io.Writer = f
	if strings.HasSuffix(name, ".gz") {
		zipped := gzip.NewWriter(f)
		defer zipped.Close()
		w = zipped
	}
	if err := release.WriteBundle(w, repository, version); err != nil {
		t.Fatal(err)
	}
	return name
}

// Requested is closed once so many requests for a path, given by its end, were made.
func Requested(t *testing.T, sim *simulator.Cluster, n int, path string) <-chan struct{} {
	t.Helper()
	reached := make(chan struct{})
	go func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for seen := 0; seen < n; {
			select {
			case <-t.Context().Done():
				return
			case <-ticker.C:
			}
			seen = 0
			for _, r := range sim.Requests() {
				if strings.HasSuffix(r.Path, path) {
					seen++
				}
			}
		}
		close(reached)
	}()
	return reached
}

// Changes are the requests that change something, but for logins.
func Changes(sim *simulator.Cluster) []string {
	var list []string
	for _, r := range sim.Requests() {
		if r.Bootstrapper() || r.Method == http.MethodGet || r.Method == http.MethodHead || r.Path == "/auth/login" {
			continue
		}
		list = append(list, r.Method+" "+r.Path)
	}
	return list
}

// Posts are how many jobs were started by hand.
func Posts(sim *simulator.Cluster) int {
	n := 0
	for _, c := range Changes(sim) {
		if c == "POST /api/v0/jobs" {
			n++
		}
	}
	return n
}

// Host is the external host of the clusters below.
const Host = "dtr.example.com"

// Epoch is when the containers of the clusters below were created.
var Epoch = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

// Version parses a version.
func Version(s string) *semver.Version { return semver.MustParse(s) }

// Versions parses versions.
func Versions(words ...string) []*semver.Version {
	var list []*semver.Version
	for _, w := range words {
		list = append(list, Version(w))
	}
	return list
}

// ReplicaID is the id of the n-th replica.
func ReplicaID(n int) string { return fmt.Sprintf("%012x", n) }

// Part is one part of the n-th replica, as UCP shows it.
func Part(n int, part bootstrap.Part, v string) ucp.Container {
	return ucp.Container{
		ID:      fmt.Sprintf("%s-%d", part.Name, n),
		Name:    fmt.Sprintf("worker%d/dtr-%s-%s", n, part.Name, ReplicaID(n)),
		Node:    fmt.Sprintf("worker%d", n),
		Image:   fmt.Sprintf("docker/%s:%s", part.Image, v),
		State:   "running",
		Status:  "Up 2 minutes",
		Created: Epoch,
	}
}

// Snapshot is a healthy cluster, one replica for each version.
func Snapshot(replicas ...string) *cluster.Snapshot {
	settings := dtr.Settings{DTRHost: Host, Replicas: map[string]dtr.ReplicaSettings{}}
	var containers []ucp.Container
	s := &cluster.Snapshot{Status: dtr.ClusterStatus{
		Health: map[string]string{}, Timestamp: map[string]time.Time{}, Date: Epoch.Add(time.Hour),
	}}
	for i, v := range replicas {
		n := i + 1
		node := fmt.Sprintf("worker%d", n)
		settings.Replicas[ReplicaID(n)] = dtr.ReplicaSettings{Node: node}
		s.Status.Health[ReplicaID(n)] = dtr.HealthOK
		s.Status.Timestamp[ReplicaID(n)] = Epoch.Add(time.Hour)
		s.Nodes = append(s.Nodes, ucp.Node{Hostname: node, EngineVersion: "18.09.0", MemoryBytes: 32 << 30})
		for _, part := range bootstrap.Parts {
			containers = append(containers, Part(n, part, v))
		}
	}
	s.Inventory = cluster.NewInventory(Host, settings, containers)
	return s
}

// MigrationJob is a migration of the metadata store that was scheduled so long after the containers
// were created.
func MigrationJob(id, status string, retriesLeft int, after time.Duration) dtr.Job {
	return dtr.Job{
		ID: id, RetryFromID: id, Action: "metadatastoremigration", Status: dtr.JobStatus(status),
		RetriesLeft: retriesLeft, RetriesTotal: 2, ScheduledAt: Epoch.Add(after),
	}
}

// Unlist has DTR list the i-th replica no longer.
func Unlist(s *cluster.Snapshot, i int) {
	left := s.Replicas[i]
	left.Listed = false
	s.Replicas, s.Unlisted = slices.Delete(s.Replicas, i, i+1), append(s.Unlisted, left)
}

// Listed is one container in UCP's list, as JSON.
type Listed map[string]any

// Name is the container's name, with the node before it.
func (l Listed) Name() string { return strings.TrimPrefix(l["Names"].([]any)[0].(string), "/") }

// On reports whether the container is on the node.
func (l Listed) On(node string) bool { return strings.HasPrefix(l.Name(), node+"/") }

// ChangeList has UCP's list of containers changed before the provider reads it, one
// list after the other.
func ChangeList(t *testing.T, change func([]Listed) []Listed) simulator.Fault {
	t.Helper()
	var mu sync.Mutex
	return simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/json",
		Rewrite: func(status int, body []byte) (int, []byte) {
			var list []Listed
			if err := json.Unmarshal(body, &list); err != nil {
				t.Errorf("%v: %s", err, body)
				return status, body
			}
			mu.Lock()
			defer mu.Unlock()
			changed, err := json.Marshal(change(list))
			if err != nil {
				t.Error(err)
			}
			return status, changed
		},
	}
}

// Hide takes the containers on the nodes out of the list.
func Hide(nodes ...string) func([]Listed) []Listed {
	return func(list []Listed) []Listed {
		return slices.DeleteFunc(list, func(l Listed) bool { return slices.ContainsFunc(nodes, l.On) })
	}
}

// UpgradeContainer is the container that this provider started for a hop.
func UpgradeContainer(from, to, state string) ucp.Container {
	return ucp.Container{
		ID: "b0075", Name: "worker1/" + cluster.ContainerName(Host), Node: "worker1", Image: "docker/dtr:" + to, State: state, Status: state,
		Labels: map[string]string{
			cluster.LabelCluster: Host, cluster.LabelFrom: from, cluster.LabelTo: to,
			"com.github.dtr-upgrade.earlier-job.metadatastoremigration": "", // that DTR had no job before
		},
	}
}
