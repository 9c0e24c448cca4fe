package upgrade

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// TestBackupContainerStuckInRemoval has the container of an earlier backup never go:
// that is said, and not waited for.
func TestBackupContainerStuckInRemoval(t *testing.T) {
	t.Parallel()
	sim, c := small(t, "2.5.6")
	o := backingUp(t, "2.6.15")
	r, obs, plan := looked(t, c, o)
	if err := r.o.Images.BringBootstrapper(t.Context(), c, o.Pace, r.bootstrapNode(obs), plan.next().From); err != nil {
		t.Fatal(err)
	}
	spec, err := r.backupStep(obs, plan.next()).spec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	spec.Name = r.runner.ContainerName()
	if _, err := r.runner.Create(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodGet, Path: "/containers/dtr-upgrade-*/json",
		Rewrite: func(status int, body []byte) (int, []byte) {
			return status, []byte(strings.ReplaceAll(string(body), `"created"`, `"removing"`))
		},
	})
	wantBlocked(t, c, o)
}

// TestMigrationLockOfAGhost has UCP call the lock's name taken, and show no container
// of it.
func TestMigrationLockOfAGhost(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	sim.SetMigration(simulator.MigrationFaults{NeverStart: true})
	o := to("2.6.15")
	o.Pace.MigrationStart = 100 * time.Millisecond
	sim.Inject(simulator.Fault{
		Service: simulator.ServiceEngine, Method: http.MethodPost, Path: "/containers/create", Status: http.StatusConflict, Body: `{"message":"Conflict"}`,
		Matches: func(r *http.Request) bool { return strings.HasPrefix(r.URL.Query().Get("name"), "dtr-migration-") },
	})
	wantBlocked(t, c, o)
	if n := clustertest.Posts(sim); n > 0 {
		t.Errorf("%d POSTs without the lock", n)
	}
}

func wantBlocked(t *testing.T, c cluster.Cluster, o Options) {
	t.Helper()
	_, err := runUpgrade(t, c, o)
	_ = clustertest.AsError[*runner.BlockedError](t, err)
	if failed := (*migration.Error)(nil); errors.As(err, &failed) {
		t.Error("it is called a failed migration")
	}
}

// TestBootstrapperThatMadeRoomIsRemembered has a run end between the renaming of a dead
// bootstrapper's container and the creation of the next.
func TestBootstrapperThatMadeRoomIsRemembered(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		dieAt  int
		window bool
	}{
		"a half-done replica does not wait for the window": {2, true},
		"no backup is taken of what was tried":             {-1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			o, clock := nightly(t, to("2.6.15"), openAt)
			sim.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: tt.dieAt})
			_, err := runUpgrade(t, c, o)
			_ = clustertest.AsError[*runner.BootstrapperError](t, err)
			sim.SetBootstrapper(simulator.BootstrapperFaults{})
			mend := sim.Inject(simulator.Fault{Service: simulator.ServiceEngine, Method: http.MethodPost, Path: "/containers/create", Status: http.StatusBadRequest, Body: `{"message":"killed"}`})
			if _, err := runUpgrade(t, c, o); err == nil {
				t.Fatal("a container was created")
			}
			mend()
			if tt.window {
				clock.set(closedAt)
				finish(t, sim, c, o, 2)
				return
			}
			o.Backup = backingUp(t, "2.6.15").Backup
			_, err = runUpgrade(t, c, o)
			clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.Backup)
			if n := backups(sim); n > 0 {
				t.Errorf("%d backups", n)
			}
		})
	}
}

// TestOneIncompleteListIsNoRepair has one list lack a container while the window is
// closed, and nothing to do.
func TestOneIncompleteListIsNoRepair(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	o, _ := nightly(t, to("2.6.15"), closedAt)
	o.Applied = clustertest.Version("2.6.8")
	var lists atomic.Int32
	sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
		if lists.Add(1) > 1 {
			return list
		}
		return slices.DeleteFunc(list, func(l clustertest.Listed) bool { return strings.HasSuffix(l.Name(), "dtr-nginx-"+sim.ReplicaIDs()[0]) })
	}))
	finish(t, sim, c, o, 0)
}

// TestMigrationLockOfAKilledApplyIsTidied has an apply leave the lock behind that was
// killed before it could give it back.
func TestMigrationLockOfAKilledApplyIsTidied(t *testing.T) {
	t.Parallel()
	sim, c := small(t, "2.5.6")
	killed, _, _ := looked(t, c, to("2.5.17"))
	if _, err := killed.runner.CreateLock(t.Context(), migration.LockName(killed.runner.Host), map[string]string{}); err != nil {
		t.Fatal(err)
	}
	finish(t, sim, c, to("2.5.17"), 1)
	for _, container := range sim.Containers() {
		if container.Name == migration.LockName(killed.runner.Host) {
			t.Error("the lock is left over")
		}
	}
}
