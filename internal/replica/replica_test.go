package replica

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

func on(node string) Options { return Options{Node: node, Pace: clustertest.Pace} }

func without(id string) Options { return Options{ReplicaID: id, Pace: clustertest.Pace} }

func TestJoinAndRemove(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 3)
	o := on("worker4")
	o.HTTPPort, o.HTTPSPort = 8080, 8443
	var args []string // of every container while it joins
	sim.At(simulator.JoinStarted, func() {
		for _, ct := range sim.Containers() {
			args = append(args, ct.Args...)
		}
	})
	m, err := Join(clustertest.Limited(t), c, o)
	if err != nil {
		t.Fatal(err)
	}
	clustertest.WantMembers(t, sim, 4)
	if !slices.Contains(args, "join") || strings.Contains(strings.Join(args, " "), sim.Password()) {
		t.Errorf("the arguments are %v", args)
	}
	if m.Node != "worker4" || !m.Listed || m.Runs.String() != "2.6.8" || m.Health != dtr.HealthOK || m.HTTPPort != 8080 || m.HTTPSPort != 8443 {
		t.Errorf("the new member is %+v", m)
	}
	if !slices.Contains(sim.ReplicaIDs(), m.ID) {
		t.Errorf("%s is not among %v", m.ID, sim.ReplicaIDs())
	}
	if err := Remove(clustertest.Limited(t), c, without(m.ID)); err != nil {
		t.Fatal(err)
	}
	clustertest.WantMembers(t, sim, 3)
	missing := clustertest.AsError[*NotFoundError](t, clustertest.Second(Find(t.Context(), c, clustertest.Pace, m.ID)))
	if len(missing.Replicas) != 3 {
		t.Errorf("got %v", missing)
	}
	sim.ResetRequests()
	if err := Remove(clustertest.Limited(t), c, without(m.ID)); err != nil || len(clustertest.Changes(sim)) > 0 {
		t.Errorf("a second removal: %v, %v", err, clustertest.Changes(sim))
	}
}

func TestJoinOnTheDirectEngine(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 3)
	c.Docker = cluster.NewDocker(ucp.DockerConfig{Host: sim.DockerHost()})
	m, err := Join(clustertest.Limited(t), c, on("worker5"))
	if err != nil {
		t.Fatal(err)
	}
	clustertest.WantMembers(t, sim, 4)
	if err := Remove(clustertest.Limited(t), c, without(m.ID)); err != nil {
		t.Fatal(err)
	}
	clustertest.WantMembers(t, sim, 3)
}

// TestJoinsTakeTurns holds that joins and removals of one cluster wait for each
// other, and that each looks at what the others have made of it.
func TestJoinsTakeTurns(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 3)
	old := sim.ReplicaIDs()[2]
	var group sync.WaitGroup
	errs := make([]error, 4)
	for i := range 3 {
		group.Go(func() {
			errs[i] = clustertest.Second(Join(clustertest.Limited(t), c, on(fmt.Sprintf("worker%d", i+4))))
		})
	}
	group.Go(func() { errs[3] = Remove(clustertest.Limited(t), c, without(old)) })
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	clustertest.WantMembers(t, sim, 5)
	if sim.Runs("join") != 3 || sim.Runs("remove") != 1 {
		t.Errorf("%d joins, %d removals", sim.Runs("join"), sim.Runs("remove"))
	}
}

// TestRemovalsTogether removes all at once: each is legal alone, and the last one
// stays.
func TestRemovalsTogether(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 3)
	var group sync.WaitGroup
	errs := make([]error, 3)
	for i, id := range sim.ReplicaIDs() {
		group.Go(func() { errs[i] = Remove(clustertest.Limited(t), c, without(id)) })
	}
	group.Wait()
	failed := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(failed) != 1 {
		t.Fatalf("errors %v, want one", failed)
	}
	clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, failed[0]).Findings.Errors(), preflight.ReplicaCount)
	clustertest.WantMembers(t, sim, 1)
}

// TestJoinsTogether joins one more than there may be.
func TestJoinsTogether(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 6)
	var group sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		group.Go(func() {
			errs[i] = clustertest.Second(Join(clustertest.Limited(t), c, on(fmt.Sprintf("worker%d", i+7))))
		})
	}
	group.Wait()
	failed := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(failed) != 1 {
		t.Fatalf("errors %v, want one", failed)
	}
	clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, failed[0]).Findings.Errors(), preflight.ReplicaCount)
	clustertest.WantMembers(t, sim, 7)
}

// TestTurnIsWaitedForAsLongAsTheApply holds that a join whose turn does not come
// ends with the apply.
func TestTurnIsWaitedForAsLongAsTheApply(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 3)
	turn := make(chan struct{}, 1)
	turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	joins, leaves := on("worker4"), without(sim.ReplicaIDs()[0])
	joins.Turn, leaves.Turn = turn, turn
	sim.ResetRequests()
	for _, err := range []error{clustertest.Second(Join(ctx, c, joins)), Remove(ctx, c, leaves)} {
		if detached := clustertest.AsError[*wait.DetachedError](t, err); detached.Container != "" || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	if n := len(sim.Requests()); n > 0 {
		t.Errorf("%d requests before its turn", n)
	}
	<-turn
	if err := clustertest.Second(Join(clustertest.Limited(t), c, joins)); err != nil {
		t.Error(err)
	}
	if len(turn) > 0 {
		t.Error("the turn was not handed on")
	}
}

// TestReplicaWorkIsNotBelieved holds that neither a bootstrapper's word nor its
// exit status counts, and that the next run mends what it has left.
func TestReplicaWorkIsNotBelieved(t *testing.T) {
	t.Parallel()
	zero := 0
	for name, tt := range map[string]struct {
		fault   simulator.BootstrapperFaults
		removes int // until the join is good, of what was left half done
		joins   int
		verify  bool // the error is of the verification
	}{
		"dies at once":             {simulator.BootstrapperFaults{DieAtReplica: -1}, 0, 2, false},
		"dies in the middle":       {simulator.BootstrapperFaults{DieAtReplica: 1}, 1, 2, false},
		"dies and says it is well": {simulator.BootstrapperFaults{DieAtReplica: 1, ClaimSuccess: true}, 1, 2, true},
		"does nothing":             {simulator.BootstrapperFaults{SkipReplica: 1}, 0, 2, true},
		"leaves a part out":        {simulator.BootstrapperFaults{LeaveOldPart: "nginx"}, 1, 2, true},
		"a fatal record alone":     {simulator.BootstrapperFaults{FatalRecord: "out of luck", ExitStatus: &zero}, 0, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Roomy(t, 3)
			sim.SetBootstrapper(tt.fault)
			err := clustertest.Second(Join(clustertest.Limited(t), c, on("worker4")))
			if tt.verify {
				_ = clustertest.AsError[*cluster.VerifyError](t, err)
			} else {
				_ = clustertest.AsError[*runner.BootstrapperError](t, err)
			}
			sim.SetBootstrapper(simulator.BootstrapperFaults{})
			if err := clustertest.Second(Join(clustertest.Limited(t), c, on("worker4"))); err != nil {
				t.Fatal(err)
			}
			clustertest.WantMembers(t, sim, 4)
			if got := sim.Runs(cluster.CommandRemove); got != tt.removes {
				t.Errorf("%d removals, want %d", got, tt.removes)
			}
			if got := sim.Runs(cluster.CommandJoin); got != tt.joins {
				t.Errorf("%d joins, want %d", got, tt.joins)
			}
		})
	}
}

func TestRemovalIsNotBelieved(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]simulator.BootstrapperFaults{
		"dies at once":             {DieAtReplica: -1},
		"dies in the middle":       {DieAtReplica: 1},
		"dies and says it is well": {DieAtReplica: 1, ClaimSuccess: true},
		"does nothing":             {SkipReplica: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Roomy(t, 3)
			id := sim.ReplicaIDs()[1]
			sim.SetBootstrapper(fault)
			if err := Remove(clustertest.Limited(t), c, without(id)); err == nil {
				t.Fatal("it ended well")
			}
			if !slices.Contains(sim.ReplicaIDs(), id) {
				t.Error("the replica is gone")
			}
			sim.SetBootstrapper(simulator.BootstrapperFaults{})
			if err := Remove(clustertest.Limited(t), c, without(id)); err != nil {
				t.Fatal(err)
			}
			clustertest.WantMembers(t, sim, 2)
		})
	}
}

// TestLookMakesFourRequests holds what a join and a removal are judged by, and that
// nothing else is asked for.
func TestLookMakesFourRequests(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 3)
	if _, err := c.UCP.Engine(t.Context()); err != nil { // logs in, and agrees on a version
		t.Fatal(err)
	}
	sim.ResetRequests()
	if _, err := cluster.Look(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	var asked []string
	version := regexp.MustCompile(`^/v1\.\d+`)
	for _, r := range sim.Requests() {
		asked = append(asked, r.Method+" "+version.ReplaceAllString(r.Path, ""))
	}
	slices.Sort(asked)
	want := []string{"GET /api/v0/meta/cluster_status", "GET /api/v0/meta/settings", "GET /containers/json", "GET /nodes"}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// TestReplicaWorkWithoutWhatItDoesNotNeed has a replica join and leave while DTR does
// not list its jobs nor its features, and UCP does not tell its version.
func TestReplicaWorkWithoutWhatItDoesNotNeed(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 3)
	for service, paths := range map[string][]string{
		simulator.ServiceDTR:    {"/api/v0/jobs", "/api/v0/meta/features"},
		simulator.ServiceEngine: {"/version"},
	} {
		for _, path := range paths {
			sim.Inject(simulator.Fault{Service: service, Path: path, Status: 500})
		}
	}
	m, err := Join(clustertest.Limited(t), c, on("worker4"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Remove(clustertest.Limited(t), c, without(m.ID)); err != nil {
		t.Fatal(err)
	}
	clustertest.WantMembers(t, sim, 3)
}

// TestJoinOutlastsAnOutageAtItsEnd has the engine answer 503 for a while to the removal
// of the container, after the replica was verified.
func TestJoinOutlastsAnOutageAtItsEnd(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 3)
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodDelete, Path: "/containers/*",
		Status: http.StatusServiceUnavailable, Body: `{"message":"No elected primary cluster manager"}`, Times: 9,
	})
	if _, err := Join(clustertest.Limited(t), c, on("worker4")); err != nil {
		t.Fatal(err)
	}
	clustertest.WantMembers(t, sim, 4)
}

// TestNameHeldInUCPSkipsNoCheck has a container hold the name in UCP, which anybody can
// make, while the last replica is to be removed.
func TestNameHeldInUCPSkipsNoCheck(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 1)
	o := without(sim.ReplicaIDs()[0])
	r := hosted(t, c, o)
	if _, err := r.runner.CreateLock(t.Context(), cluster.ElsewhereName(r.runner.Host), map[string]string{cluster.LabelHolds: "ABC"}); err != nil {
		t.Fatal(err)
	}
	if needed, err := r.removeTask(o.ReplicaID).StillNeeded(t.Context(), runner.Earlier{}); err == nil {
		t.Errorf("the removal would be started: %t", needed)
	}
}

// TestChangeWaitsForABootstrapperOnAnotherEngine has a join and a removal find a join at
// work on an engine that they do not reach.
func TestChangeWaitsForABootstrapperOnAnotherEngine(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 3)
	elsewhere, _ := clustertest.Roomy(t, 3)
	halfMade, released := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	defer release()
	sim.Inject(simulator.Fault{
		Bootstrapper: true, Service: simulator.ServiceEngine, Method: http.MethodPost, Path: "/containers/create", Skip: 3, Times: 1,
		Rewrite: func(status int, body []byte) (int, []byte) { close(halfMade); <-released; return status, body },
	})
	begin := func(change func() error) <-chan error {
		done := make(chan error, 1)
		go func() { done <- change() }()
		return done
	}
	other := c
	other.Docker = cluster.NewDocker(ucp.DockerConfig{Host: elsewhere.DockerHost()})
	first := begin(func() error { return clustertest.Second(Join(clustertest.Limited(t), other, on("worker4"))) })
	<-halfMade
	sim.ResetRequests()
	join := begin(func() error { return clustertest.Second(Join(clustertest.Limited(t), c, on("worker5"))) })
	removal := begin(func() error { return Remove(clustertest.Limited(t), c, without(sim.ReplicaIDs()[2])) })
	select {
	case err := <-join:
		t.Fatalf("the join has not waited: %v", err)
	case err := <-removal:
		t.Fatalf("the removal has not waited: %v", err)
	case <-clustertest.Requested(t, sim, 24, cluster.ContainerName(strings.TrimPrefix(sim.DTRURL(), "https://"))+"/json"):
	}
	release()
	if err := errors.Join(<-first, <-join, <-removal); err != nil {
		t.Fatal(err)
	}
	clustertest.WantMembers(t, sim, 4)
	if here, there := sim.Runs("join"), elsewhere.Runs("join"); here != 1 || there != 1 {
		t.Errorf("%d joins through UCP and %d on the other engine, want one each", here, there)
	}
}
