package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

func TestRun(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from     string
		options  Options
		runs     int
		attempts int
	}{
		{"2.5.6", to("2.5.7"), 1, 0},
		{"2.5.6", to("2.5.17"), 1, 0},
		{"2.4.14", to("2.5.6"), 1, 0},
		{"2.5.6", to("2.6.15"), 1, 1},
		{"2.6.3", to("2.7.8"), 1, 0},
		{"2.5.6", to("2.7.8", "2.6.15"), 2, 1},
		{"2.9.30", to("3.0.0"), 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.from+" -> "+tt.options.Target.String(), func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, tt.from)
			report, err := runUpgrade(t, c, tt.options)
			if err != nil {
				t.Fatal(err)
			}
			clustertest.WantAt(t, sim, tt.options.Target.String())
			clustertest.WantNoBootstrapper(t, sim)
			if got := sim.BootstrapperRuns(); got != tt.runs || report.BootstrapperRuns != tt.runs {
				t.Errorf("%d bootstrapper runs, reported as %d, want %d", got, report.BootstrapperRuns, tt.runs)
			}
			if report.MigrationAttempts != tt.attempts {
				t.Errorf("%d migration attempts, want %d", report.MigrationAttempts, tt.attempts)
			}
			if clustertest.Posts(sim) > 0 {
				t.Error("a job was started by hand, where DTR does it by itself")
			}
			if report.From != tt.from || report.Probes == 0 || !report.Inventory.At(tt.options.Target) {
				t.Errorf("the report is not right: %+v", report)
			}

			sim.ResetRequests()
			again, err := runUpgrade(t, c, tt.options)
			if err != nil {
				t.Fatal(err)
			}
			if again.Worked() || len(clustertest.Changes(sim)) > 0 {
				t.Errorf("the second run did %v", clustertest.Changes(sim))
			}
		})
	}
}

func TestRunOnTheDirectEngine(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	c.Docker = cluster.NewDocker(ucp.DockerConfig{Host: sim.DockerHost()})
	if _, err := runUpgrade(t, c, to("2.6.15")); err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, "2.6.15")
	clustertest.WantNoBootstrapper(t, sim)
}

func TestRunKeepsThePasswordOutOfTheArguments(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	var bootstrapper simulator.Container
	sim.At(simulator.BootstrapperStarted, func() {
		for _, c := range sim.Containers() {
			if strings.HasPrefix(c.Name, "dtr-upgrade-") {
				bootstrapper = c
			}
		}
	})
	if _, err := runUpgrade(t, c, to("2.5.17")); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.Join(bootstrapper.Args, " "), sim.Password()) {
		t.Error("the password is among the arguments")
	}
	if !slices.Contains(bootstrapper.Env, "UCP_PASSWORD="+sim.Password()) {
		t.Error("the bootstrapper was not given the password")
	}
	if bootstrapper.Node != "worker1" || !slices.Contains(bootstrapper.Args, sim.ReplicaIDs()[0]) {
		t.Errorf("the bootstrapper runs on %s with %v, not at the first replica", bootstrapper.Node, bootstrapper.Args)
	}
}

func TestRunTouchesNothingWhenPreflightFinds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		options Options
		change  func(*simulator.Cluster)
		checks  []preflight.Check
	}{
		{"downgrade", to("2.4.14"), nil, []preflight.Check{preflight.Transition}},
		{"skipped minor", to("2.7.8"), nil, []preflight.Check{preflight.Transition}},
		{"image not to be had", to("2.6.15"), func(sim *simulator.Cluster) { sim.RemoveFromRegistry("mirantis/dtr:2.6.15") }, []preflight.Check{preflight.Image}},
		{"component not to be had", to("2.6.15"), func(sim *simulator.Cluster) { sim.RemoveFromRegistry("mirantis/dtr-nginx:2.6.15") }, []preflight.Check{preflight.Image}},
		{"little memory", to("2.6.15"), func(sim *simulator.Cluster) { sim.SetMemory("worker1", 8<<30) }, []preflight.Check{preflight.Memory}},
		{"several", to("2.6.15"), func(sim *simulator.Cluster) {
			sim.SetContentTrust(true)
			sim.SetGCLock(sim.ReplicaIDs()[1])
			sim.FreezeReplica(sim.ReplicaIDs()[2])
		}, []preflight.Check{preflight.ContentTrust, preflight.GarbageCollection, preflight.ReplicaHealth}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			if tt.change != nil {
				tt.change(sim)
			}
			report, err := runUpgrade(t, c, tt.options)
			refused := clustertest.AsError[*preflight.FailedError](t, err)
			clustertest.WantChecks(t, refused.Findings.Errors(), tt.checks...)
			if did := clustertest.Changes(sim); len(did) > 0 {
				t.Errorf("something was touched: %v", did)
			}
			if report.Inventory.CurrentVersion().String() != "2.5.6" {
				t.Errorf("the report says that %s runs", report.Inventory.CurrentVersion())
			}
		})
	}
}

// TestRunDoesNotBelieveTheBootstrapper has it lie in each way. Each time the run
// must fail, and the next one must finish the work.
func TestRunDoesNotBelieveTheBootstrapper(t *testing.T) {
	t.Parallel()
	zero, one := 0, 1
	tests := []struct {
		name   string
		faults simulator.BootstrapperFaults
		check  func(*testing.T, error)
	}{
		{"dies before the first replica and says so", simulator.BootstrapperFaults{DieAtReplica: -1}, isBootstrapperError},
		{"dies in the second replica and says so", simulator.BootstrapperFaults{DieAtReplica: 2}, isBootstrapperError},
		{"dies in the second replica with exit status 0", simulator.BootstrapperFaults{DieAtReplica: 2, ExitStatus: &zero}, isBootstrapperError},
		{"dies in the second replica and claims success", simulator.BootstrapperFaults{DieAtReplica: 2, ClaimSuccess: true}, isVerifyError},
		{"claims success without a word", simulator.BootstrapperFaults{DieAtReplica: -1, ClaimSuccess: true, Silent: true}, isVerifyError},
		{"leaves one part old", simulator.BootstrapperFaults{LeaveOldPart: "scanningstore"}, isVerifyError},
		{"leaves one replica old", simulator.BootstrapperFaults{SkipReplica: 3}, isVerifyError},
		{"does all and exits with 1", simulator.BootstrapperFaults{ExitStatus: &one}, isBootstrapperError},
		{"does all and writes a fatal record", simulator.BootstrapperFaults{FatalRecord: "Failed to execute phase2"}, isBootstrapperError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			sim.SetBootstrapper(tt.faults)
			_, err := runUpgrade(t, c, to("2.6.15"))
			tt.check(t, err)

			sim.SetBootstrapper(simulator.BootstrapperFaults{})
			if _, err := runUpgrade(t, c, to("2.6.15")); err != nil {
				t.Fatalf("the run that resumes: %v", err)
			}
			clustertest.WantAt(t, sim, "2.6.15")
			clustertest.WantNoBootstrapper(t, sim)
			if got := sim.BootstrapperRuns(); got != 2 {
				t.Errorf("%d bootstrapper runs, want 2", got)
			}
		})
	}
}

func isBootstrapperError(t *testing.T, err error) {
	t.Helper()
	failure := clustertest.AsError[*runner.BootstrapperError](t, err)
	if failure.ExitCode == 0 && failure.Fatal == "" {
		t.Errorf("neither exit status nor record: %+v", failure)
	}
	if len(failure.Log) == 0 {
		t.Error("the error has no log")
	}
}

func isVerifyError(t *testing.T, err error) {
	t.Helper()
	if failure := clustertest.AsError[*cluster.VerifyError](t, err); len(failure.Problems) == 0 {
		t.Error("the error names no problem")
	}
}

func TestRunSeesThroughReplicasThatDoNotBecomeHealthy(t *testing.T) {
	t.Parallel()
	tests := map[string]func(sim *simulator.Cluster, id string){
		"unhealthy": func(sim *simulator.Cluster, id string) {
			sim.SetReplicaHealth(id, "Rethink replica is currently in state: disconnected")
		},
		"stale": func(sim *simulator.Cluster, id string) { sim.FreezeReplica(id) },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			id := sim.ReplicaIDs()[1]
			sim.At(simulator.BootstrapperFinished, func() { spoil(sim, id) })
			o := to("2.6.15")
			o.Pace.Healthy = 200 * time.Millisecond
			_, err := runUpgrade(t, c, o)
			failure := clustertest.AsError[*cluster.VerifyError](t, err)
			if !strings.Contains(cluster.ProblemsText(failure.Problems), id) {
				t.Errorf("the error does not name the replica: %v", failure)
			}
		})
	}
}

func TestRunGivesOneReplicasInterruption(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Connect(t, simulator.Options{Version: "2.5.6", Replicas: 1, Speed: clustertest.Speed})
	// A delay between the removal of each container and the creation of the next one,
	// long enough for a probe.
	sim.Inject(simulator.Fault{
		Bootstrapper: true, Service: simulator.ServiceEngine, Method: http.MethodPost, Path: "/containers/create",
		Delay: 200 * time.Millisecond,
	})
	o := to("2.5.17")
	o.MaxInterruption, o.Pace.Probe = time.Nanosecond, 2*time.Millisecond
	report, err := runUpgrade(t, c, o)
	if err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, "2.5.17")
	if report.FailedProbes == 0 || report.LongestInterruption <= 0 {
		t.Errorf("%d of %d probes failed, longest interruption %s", report.FailedProbes, report.Probes, report.LongestInterruption)
	}
	clustertest.WantChecks(t, report.Warnings, preflight.FollowUpInterruption)
}

// TestRunKeepsTheLongestInterruptionOfAllHops has DTR's address fail in the first
// of two hops.
func TestRunKeepsTheLongestInterruptionOfAllHops(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	sim.At(simulator.BootstrapperStarted, sync.OnceFunc(func() {
		sim.Inject(simulator.Fault{Service: simulator.ServiceDTR, Path: dtr.DefaultPingPath, Status: http.StatusServiceUnavailable, Times: 3})
	}))
	report, err := runUpgrade(t, c, twoHops())
	if err != nil {
		t.Fatal(err)
	}
	if report.FailedProbes == 0 || report.LongestInterruption <= 0 || report.Probes <= report.FailedProbes {
		t.Errorf("%d of %d probes failed, longest interruption %s", report.FailedProbes, report.Probes, report.LongestInterruption)
	}
}

func TestRunWarnsOfAnInterruptionBeyondTheLimit(t *testing.T) {
	t.Parallel()
	_, c := clustertest.Start(t, "2.6.15")
	for _, tt := range []struct {
		limit, interruption time.Duration
		warns               bool
	}{
		{30 * time.Second, 0, false},
		{30 * time.Second, 30 * time.Second, false},
		{30 * time.Second, 30*time.Second + time.Millisecond, true},
		{time.Second, 30 * time.Second, true},
		{0, time.Hour, false}, // no limit
	} {
		o := to("2.6.15")
		o.MaxInterruption = tt.limit
		r := newRun(c, o)
		r.report.LongestInterruption = tt.interruption
		r.followUp(t.Context())
		warns := slices.ContainsFunc(r.report.Warnings, func(f preflight.Finding) bool {
			return f.Check == preflight.FollowUpInterruption && f.Severity == preflight.Warning
		})
		if warns != tt.warns {
			t.Errorf("%s with a limit of %s: warning: %t", tt.interruption, tt.limit, warns)
		}
	}
}

func TestRunKeepsThreeReplicasServing(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Connect(t, simulator.Options{Version: "2.5.6", Replicas: 3, Speed: 200})
	o := to("2.5.17")
	o.Pace.Probe = 2 * time.Millisecond
	report, err := runUpgrade(t, c, o)
	if err != nil {
		t.Fatal(err)
	}
	answers := 0
	for _, r := range sim.Requests() {
		if r.Path != dtr.DefaultPingPath || r.Service != simulator.ServiceDTR || r.Status == 0 {
			continue // cut off by the end of the run, or by a busy machine
		}
		if answers++; r.Status != http.StatusOK {
			t.Errorf("a probe was answered with %d", r.Status)
		}
	}
	if answers == 0 || report.Probes == 0 {
		t.Errorf("%d probes were answered of %d", answers, report.Probes)
	}
}

func TestRunRefusesAnotherDigest(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	const pinned = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	sim.SetDigest("mirantis/dtr:2.6.15", pinned)
	o := to("2.6.15")
	o.Images.Digests = map[string]string{"2.6.15": "sha256:2222222222222222222222222222222222222222222222222222222222222222"}
	_, err := runUpgrade(t, c, o)
	if failure := clustertest.AsError[*images.DigestError](t, err); !slices.Equal(failure.Got, []string{pinned}) {
		t.Errorf("got digests %v", failure.Got)
	}
	if sim.BootstrapperRuns() > 0 {
		t.Error("the bootstrapper ran all the same")
	}
	o.Images.Digests["2.6.15"] = pinned
	if _, err := runUpgrade(t, c, o); err != nil {
		t.Fatal(err)
	}
}

// UCP answers for any node that has the image; what counts is the one that runs
// the bootstrapper.
func TestRunRefusesAnotherDigestOnTheNode(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	const (
		image    = "mirantis/dtr:2.6.15"
		good     = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
		tampered = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	)
	for _, node := range []string{"worker1", "worker2", "worker3"} {
		sim.TagImage(node, image, good)
	}
	sim.TagImage("worker2", image, tampered)
	o := to("2.6.15")
	o.ExistingReplicaID = sim.ReplicaIDs()[1]
	o.Images.Digests = map[string]string{"2.6.15": good}
	_, err := runUpgrade(t, c, o)
	if failure := clustertest.AsError[*images.DigestError](t, err); !slices.Equal(failure.Got, []string{tampered}) {
		t.Errorf("got digests %v", failure.Got)
	}
	if sim.BootstrapperRuns() > 0 {
		t.Error("the bootstrapper ran all the same")
	}
}

// TestRunRefusesAnImageThatIsMoved has a node's tag mean another image between the
// check of the digest and the container that is made by the tag.
func TestRunRefusesAnImageThatIsMoved(t *testing.T) {
	t.Parallel()
	const (
		good     = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
		tampered = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	)
	for name, version := range map[string]string{"of the hop": "2.6.15", "of the backup": "2.5.6"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			image := bootstrap.Image("", clustertest.Version(version))
			sim.AddImage(image)
			sim.SetDigest(image, good)
			tag := func(digest string) {
				for _, node := range []string{"worker1", "worker2", "worker3"} {
					sim.TagImage(node, image, digest)
				}
			}
			stop := sim.Inject(simulator.Fault{Matches: func(r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "/containers/create") {
					tag(tampered)
				}
				return false
			}})
			o := to("2.6.15")
			o.Backup = &Backup{File: filepath.Join(t.TempDir(), "backup.tar")}
			o.Images.Digests = map[string]string{version: good}
			_, err := runUpgrade(t, c, o)
			failure := clustertest.AsError[*images.DigestError](t, err)
			if !slices.Equal(failure.Got, []string{tampered}) || failure.Node != "worker1" {
				t.Errorf("got digests %v on %s", failure.Got, failure.Node)
			}
			clustertest.WantNoBootstrapper(t, sim)
			clustertest.WantAt(t, sim, "2.5.6")
			stop()
			tag(good)
			if _, err := runUpgrade(t, c, o); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestRunNeverPullsWhenToldSo(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	o := to("2.6.15")
	o.Images.Pull = images.PullNever
	_, err := runUpgrade(t, c, o)
	clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.Image)

	for _, image := range append(bootstrap.ComponentImages("", o.Target), bootstrap.Image("", o.Target)) {
		sim.AddImage(image)
	}
	sim.ResetRequests()
	if _, err := runUpgrade(t, c, o); err != nil {
		t.Fatal(err)
	}
	if did := clustertest.Changes(sim); slices.ContainsFunc(did, func(s string) bool { return strings.Contains(s, "/images/create") }) {
		t.Errorf("an image was pulled: %v", did)
	}
}

// TestRunWarnsOfWhatIsLeftToDo holds that one warning names it all in a whole sentence, and
// that a database that is being updated is not called old.
func TestRunWarnsOfWhatIsLeftToDo(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cache, busy bool
		summary     string
	}{
		"caches and the vulnerability database": {cache: true, summary: "Content caches and the vulnerability database are not upgraded with DTR"},
		"caches":                                {cache: true, busy: true, summary: "Content caches are not upgraded with DTR"},
		"the vulnerability database":            {summary: "The vulnerability database is not upgraded with DTR"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			if tt.cache {
				addCache(t, sim)
			}
			if tt.busy {
				sim.Inject(simulator.Fault{Service: simulator.ServiceDTR, Path: "/api/v0/imagescan/status", Status: http.StatusForbidden})
			}
			report, err := runUpgrade(t, c, to("2.6.15"))
			if err != nil {
				t.Fatal(err)
			}
			var left preflight.Findings
			for _, f := range report.Warnings {
				if f.Check == preflight.FollowUp {
					left = append(left, f)
				}
			}
			if len(left) != 1 || strings.Contains(left[0].Seen, "branch at https://cache.example.com") != tt.cache ||
				!strings.HasPrefix(left[0].Todo, "Unless") || left[0].Summary != tt.summary {
				t.Errorf("findings %+v", left)
			}
		})
	}
}

func TestRunStopsOnAForeignBootstrapper(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	release := sim.Hold(simulator.ReplicaStarted(1))
	sim.StartForeignBootstrapper("2.6.15")
	<-sim.Reached(simulator.ReplicaStarted(1))
	_, err := runUpgrade(t, c, to("2.6.15"))
	clustertest.WantChecks(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.ForeignUpgrade)
	if sim.BootstrapperRuns() != 1 {
		t.Errorf("%d bootstrapper runs beside the foreign one", sim.BootstrapperRuns()-1)
	}
	release()
}

func TestRunDoesNotTakeSomebodyElsesContainer(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	inventory := clustertest.Must[*cluster.Inventory](t)(cluster.Inspect(t.Context(), c))
	engine := clustertest.Must[*ucp.Engine](t)(c.UCP.Engine(t.Context()))
	name := cluster.ContainerName(inventory.Host)
	sim.AddImage("docker/dtr:2.5.17")
	clustertest.Must[string](t)(engine.Create(t.Context(), ucp.CreateSpec{Name: name, Image: "docker/dtr:2.5.17", Args: []string{"images"}}))
	_, err := runUpgrade(t, c, to("2.6.15"))
	if failure := clustertest.AsError[*runner.ForeignContainerError](t, err); failure.Container != name {
		t.Errorf("the error names %q", failure.Container)
	}
	if sim.BootstrapperRuns() > 0 {
		t.Error("a bootstrapper ran all the same")
	}
	if _, err := engine.Container(t.Context(), name); err != nil {
		t.Errorf("somebody else's container is gone: %v", err)
	}
}

func TestRunTimesOutWithItsCause(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	release := sim.Hold(simulator.ReplicaStarted(2))
	defer release()
	cause := errors.New("timeouts.update of 1h passed")
	ctx, cancel := context.WithCancelCause(t.Context())
	sim.At(simulator.ReplicaReplaced(1), func() { cancel(cause) })
	_, err := Run(ctx, c, to("2.6.15"))
	if detached := clustertest.AsError[*wait.DetachedError](t, err); detached.Container == "" || !errors.Is(err, cause) {
		t.Errorf("got %+v, want the container that goes on and the cause", detached)
	}
}

// TestRunVerifiesWhatSomebodyElseUpgraded has the cluster be at the target, where nobody
// has seen it whole, and a replica that no check finds fault with not refresh its report.
func TestRunVerifiesWhatSomebodyElseUpgraded(t *testing.T) {
	t.Parallel()
	for applied, fails := range map[string]bool{"": true, "2.6.8": true, "2.6.15": false} {
		t.Run(applied, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.6.15")
			var mu sync.Mutex
			reported := map[string]any{}
			sim.Inject(simulator.Fault{
				Service: simulator.ServiceDTR, Path: "/api/v0/meta/cluster_status",
				Rewrite: func(status int, body []byte) (int, []byte) {
					mu.Lock()
					defer mu.Unlock()
					var shown map[string]any
					if err := json.Unmarshal(body, &shown); err != nil {
						t.Error(err)
					}
					if len(reported) == 0 {
						maps.Copy(reported, shown["replica_timestamp"].(map[string]any))
					}
					shown["replica_timestamp"] = reported
					changed, _ := json.Marshal(shown)
					return status, changed
				},
			})
			o := to("2.6.15")
			if applied != "" {
				o.Applied = clustertest.Version(applied)
			}
			o.Pace.Healthy = time.Second
			_, err := runUpgrade(t, c, o)
			if !fails {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if failed := clustertest.AsError[*cluster.VerifyError](t, err); !strings.Contains(failed.Error(), "does not refresh its health report") {
				t.Errorf("got %v", failed)
			}
		})
	}
}
