package runner

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

const (
	before = "2.5.6"
	target = "2.5.17" // no migration follows
)

// start simulates a cluster of one replica whose node has the images of the target.
func start(t *testing.T) (*simulator.Cluster, *Runner) {
	t.Helper()
	sim, c := clustertest.Connect(t, simulator.Options{Version: before, Replicas: 1, Speed: clustertest.Speed})
	sim.AddBundle(target)
	inventory := clustertest.Must[*cluster.Inventory](t)(cluster.Inspect(t.Context(), c))
	return sim, &Runner{Cluster: c, Host: inventory.Host, ProviderVersion: "1.2.3", Pace: clustertest.Pace}
}

// upgrade is the task that brings the cluster to the target.
func upgrade(sim *simulator.Cluster, r *Runner) Task {
	return Task{
		Step: "upgrade", Name: before + " to " + target,
		Spec:        func(context.Context) (ucp.CreateSpec, error) { return upgradeSpec(sim, r), nil },
		Owns:        func(c Container) bool { return c.Labels[cluster.LabelTo] == target },
		Conflict:    func(Container) error { return nil },
		StillNeeded: func(context.Context, Earlier) (bool, error) { return true, nil },
		Problems: func(_ Container, i *cluster.Inventory) []cluster.Problem {
			return i.Problems(clustertest.Version(target))
		},
	}
}

func upgradeSpec(sim *simulator.Cluster, r *Runner) ucp.CreateSpec {
	version := clustertest.Version(target)
	args, env := bootstrap.UpgradeCommand(version, bootstrap.UpgradeOptions{ExistingReplicaID: sim.ReplicaIDs()[0], UCP: r.Cluster.Login})
	return ucp.CreateSpec{
		Image: bootstrap.Image("", version), Args: args, Env: env, Node: "worker1",
		Labels: map[string]string{cluster.LabelFrom: before, cluster.LabelTo: target},
	}
}

// create creates a container on the engine as somebody else would.
func create(t *testing.T, c cluster.Cluster, spec ucp.CreateSpec) string {
	t.Helper()
	engine := clustertest.Must[*ucp.Engine](t)(c.UCP.Engine(t.Context()))
	return clustertest.Must[string](t)(engine.Create(t.Context(), spec))
}

// TestDetachedFromPhase2 ends the context while a second phase is waited for whose
// first phase was killed.
func TestDetachedFromPhase2(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	release := sim.Hold(simulator.ReplicaStarted(1))
	defer release()
	go func() {
		<-sim.Reached(simulator.ReplicaStarted(1))
		sim.KillContainer(r.ContainerName())
	}()
	_, err := r.Perform(clustertest.Limited(t), upgrade(sim, r))
	_ = clustertest.AsError[*BootstrapperError](t, err)

	sim.ResetRequests()
	ctx, cancel := context.WithCancelCause(clustertest.Limited(t))
	stopped := errors.New("the user has stopped it")
	go func() {
		<-clustertest.Requested(t, sim, 2, "/containers/"+r.ContainerName()+"/json")
		cancel(stopped)
	}()
	_, err = r.Perform(ctx, upgrade(sim, r))
	detached := clustertest.AsError[*wait.DetachedError](t, err)
	if detached.Container != cluster.Phase2Name || detached.Step != "upgrade" || !errors.Is(err, stopped) {
		t.Errorf("got %+v, want it to name the second phase, the step and the cause", detached)
	}
	if got := sim.BootstrapperRuns(); got != 1 {
		t.Errorf("%d bootstrapper runs: one was started beside the second phase", got)
	}
}

// TestPhase2ThatIsNotShownIsWaitedFor leaves a second phase at work whose first phase was
// killed, and has UCP not show it until the container of the repetition is made.
func TestPhase2ThatIsNotShownIsWaitedFor(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	release := orphaned(t, sim, r)
	sim.ResetRequests()
	created := clustertest.Requested(t, sim, 1, "/containers/create")
	var shown int
	sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
		select {
		case <-created:
		default:
			return slices.DeleteFunc(list, func(l clustertest.Listed) bool { return strings.HasSuffix(l.Name(), "/"+cluster.Phase2Name) })
		}
		if shown++; shown == 2 {
			release()
		}
		return list
	}))
	task := upgrade(sim, r)
	task.StillNeeded = func(context.Context, Earlier) (bool, error) {
		if phase2, _ := named(sim, cluster.Phase2Name); phase2.Running() {
			t.Error("the next step is taken beside the second phase")
			release()
		}
		return false, nil
	}
	if _, err := r.Perform(clustertest.Limited(t), task); err != nil {
		t.Fatal(err)
	}
}

// TestForeignContainerInPlaceOfABackup waits for the container of a backup that another
// apply is about to start, on an engine of its own, when somebody else takes the name in
// UCP.
func TestForeignContainerInPlaceOfABackup(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	elsewhere, _ := start(t)
	name := r.ContainerName()
	foreign := ucp.CreateSpec{Name: name, Image: bootstrap.Image("", clustertest.Version(target)), Node: "worker1"}
	c := r.Cluster
	r.Cluster.Docker = cluster.NewDocker(ucp.DockerConfig{Host: elsewhere.DockerHost()})
	r.Pace.Consistent = time.Minute // for which the backup may be about to start
	if _, err := r.Create(t.Context(), ucp.CreateSpec{
		Name: name, Image: foreign.Image, Args: []string{"backup"}, Labels: map[string]string{cluster.LabelCommand: cluster.CommandBackup},
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- clustertest.Second(r.Perform(ctx, upgrade(sim, r))) }()
	<-clustertest.Requested(t, sim, 1, "/containers/"+name+"/json")
	create(t, c, foreign)
	err := <-done
	refused := clustertest.AsError[*ForeignContainerError](t, err)
	if refused.Container != name || refused.Image != foreign.Image || refused.Status != cluster.StateCreated {
		t.Errorf("got %+v", refused)
	}
	if got := elsewhere.BootstrapperRuns(); got != 0 {
		t.Errorf("%d bootstrapper runs", got)
	}
}

// TestTidyFindsAJoinThatIsSetAside has another apply set the container of a join aside
// between the looks for it.
func TestTidyFindsAJoinThatIsSetAside(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	const id = "0123456789ab"
	args, env := bootstrap.JoinCommand(bootstrap.JoinOptions{ExistingReplicaID: sim.ReplicaIDs()[0], ReplicaID: id, Node: "worker2", UCP: r.Cluster.Login})
	join := clustertest.Must[Container](t)(r.Create(t.Context(), ucp.CreateSpec{
		Name: r.ContainerName(), Image: bootstrap.Image("", clustertest.Version(target)), Args: args, Env: env, Node: "worker1",
		Labels: map[string]string{cluster.LabelCommand: cluster.CommandJoin, cluster.LabelReplica: id, cluster.LabelNode: "worker2", cluster.LabelTo: target},
	}))
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/*", Times: 1,
		Rewrite: func(status int, body []byte) (int, []byte) {
			other := *r
			if aside, err := other.SetAside(t.Context(), join); !aside || err != nil {
				t.Errorf("set aside: %t, %v", aside, err)
			}
			return status, body
		},
	})
	if err := r.Tidy(t.Context(), func(Container) bool { return true }); err != nil {
		t.Fatal(err)
	}
	clustertest.WantNoBootstrapper(t, sim)
}

// TestRenameWhoseAnswerIsLost renames a container, and then does not.
func TestRenameWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	for _, carriedOut := range []bool{true, false} {
		sim, r := start(t)
		spec := upgradeSpec(sim, r)
		spec.Name = r.ContainerName()
		c := clustertest.Must[Container](t)(r.Create(t.Context(), spec))
		sim.Inject(simulator.Fault{
			Service: simulator.ServiceEngine, Method: http.MethodPost, Path: "/containers/*/rename", Times: 1, Reset: !carriedOut, AfterEffect: carriedOut,
		})
		renamed, err := r.Rename(clustertest.Limited(t), c, "another")
		if renamed != carriedOut || (err == nil) != carriedOut {
			t.Errorf("carried out: %t; renamed: %t, error %v", carriedOut, renamed, err)
		}
	}
}
