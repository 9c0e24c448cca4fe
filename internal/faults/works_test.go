package faults

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/contentcache"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/job"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/replica"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// work is something that the provider is asked to do.
type work struct {
	name    string
	options simulator.Options
	docker  bool // the bootstrapper runs on an engine of its own
	prepare func(*scene)
	run     func(context.Context, cluster.Cluster, *scene, wait.Pace) (claim, error)
	want    want
	once    bool     // it is not asked for again once it succeeded
	fails   string   // the beginning of the requests for whose lost answer it may fail; "" is none
	goes    []string // how the cluster can go wrong, see circumstances
}

// want is what the cluster is in the end.
type want struct {
	target  string         // version of every container
	members int            // replicas
	runs    map[string]int // of the bootstrapper, by command
	removes int            // which replica goes: the n-th of the start; 0 is none
	jobs    int            // of migrations, retries included
	cache   bool           // one content cache is registered, and runs the target
	backup  string         // version that the backup is of; "" is none
}

// claim is what would be written into the state.
type claim struct {
	versions map[string]map[string]string // by replica and part
	member   string                       // the replica that joined
}

const cacheBefore, cacheAfter = "docker/dtr-content-cache:2.6.8", "mirantis/dtr-content-cache:2.6.15"

var (
	bootstrapperGoes = []string{"die-1", "die-2-claim", "exit-1", "fatal", "silent-1"}
	upgradeGoes      = append([]string{"skip-2-claim", "old-part-claim", "ill", "foreign"}, bootstrapperGoes...)
)

var works = []work{
	{
		name: "upgrade", options: simulator.Options{Version: "2.5.6", Replicas: 3}, goes: upgradeGoes,
		run:  upgrading("2.7.8", "2.6.15"),
		want: want{target: "2.7.8", members: 3, runs: map[string]int{"upgrade": 2}, jobs: 1},
	},
	{
		name: "migration", options: simulator.Options{Version: "2.5.6", Replicas: 1}, goes: []string{"die-1", "exit-1", "foreign"},
		prepare: func(s *scene) { s.sim.SetMigration(simulator.MigrationFaults{Fail: 3}) }, // then DTR gives it up
		run:     upgrading("2.6.15"),
		want:    want{target: "2.6.15", members: 1, runs: map[string]int{"upgrade": 1}, jobs: 4},
	},
	{
		name: "backup", options: simulator.Options{Version: "2.6.8", Replicas: 1},
		goes: []string{"die-1", "exit-1", "backup-cut", "backup-garbage", "backup-version", "attach-cut", "attach-silent", "foreign"},
		run: func(ctx context.Context, c cluster.Cluster, s *scene, pace wait.Pace) (claim, error) {
			o := upgradeOptions(pace, "2.6.15")
			o.Backup = &upgrade.Backup{File: s.file}
			return runUpgrade(ctx, c, o)
		},
		want:  want{target: "2.6.15", members: 1, runs: map[string]int{"upgrade": 1}, backup: "2.6.8"},
		fails: "/containers/*/start", // of the backup, which is taken anew
	},
	{
		name: "join", once: true, options: simulator.Options{Version: "2.6.8", Replicas: 3, Workers: 5}, goes: bootstrapperGoes,
		run:  joining("worker4"),
		want: want{target: "2.6.8", members: 4, runs: map[string]int{"join": 1}},
	},
	{
		name: "remove", options: simulator.Options{Version: "2.6.8", Replicas: 3}, goes: bootstrapperGoes,
		run:  removing(3),
		want: want{target: "2.6.8", members: 2, runs: map[string]int{"remove": 1}, removes: 3},
	},
	{
		name: "upgrade with docker", options: simulator.Options{Version: "2.6.8", Replicas: 1}, docker: true, goes: bootstrapperGoes,
		run:  upgrading("2.6.15"),
		want: want{target: "2.6.15", members: 1, runs: map[string]int{"upgrade": 1}},
	},
	{
		name: "join with docker", once: true, options: simulator.Options{Version: "2.6.8", Replicas: 3, Workers: 5}, docker: true, goes: bootstrapperGoes,
		run:  joining("worker4"),
		want: want{target: "2.6.8", members: 4, runs: map[string]int{"join": 1}},
	},
	{
		name: "database", options: simulator.Options{Version: "2.6.8", Replicas: 1},
		run: func(ctx context.Context, c cluster.Cluster, _ *scene, pace wait.Pace) (claim, error) {
			_, err := job.UpdateDatabase(ctx, c.DTR, job.DatabaseOptions{Pace: pace})
			return claim{}, err
		},
		want: want{target: "2.6.8", members: 1},
	},
	{
		name: "cache-service", options: simulator.Options{Version: "2.6.15", Replicas: 1},
		prepare: func(s *scene) { s.sim.AddCacheService(simulator.CacheService{Image: cacheBefore, Replicas: 2}) },
		run:     caching(contentcache.Options{Service: "dtr-cache_cache"}),
		want:    want{target: "2.6.15", members: 1, cache: true},
	},
	{
		name: "cache-container", options: simulator.Options{Version: "2.6.15", Replicas: 1},
		prepare: func(s *scene) { s.sim.AddCacheContainer("dtr-cache", cacheBefore, "worker1") },
		run:     caching(contentcache.Options{Container: "dtr-cache"}),
		want:    want{target: "2.6.15", members: 1, cache: true},
		fails:   "/containers/", // the container from before is put back
	},
}

// mayFail reports whether the work may fail for a lost answer.
func (w work) mayFail(s step) bool {
	return w.fails != "" && strings.HasPrefix(s.path, w.fails)
}

func upgradeOptions(pace wait.Pace, target string, via ...string) upgrade.Options {
	return upgrade.Options{Target: clustertest.Version(target), Via: clustertest.Versions(via...), Retriggers: 1, Pace: pace}
}

func upgrading(target string, via ...string) func(context.Context, cluster.Cluster, *scene, wait.Pace) (claim, error) {
	return func(ctx context.Context, c cluster.Cluster, _ *scene, pace wait.Pace) (claim, error) {
		return runUpgrade(ctx, c, upgradeOptions(pace, target, via...))
	}
}

// runUpgrade plans, and applies. A plan that gets no answer, as while the only replica is
// being replaced, is one without what the cluster shows: the apply looks again.
func runUpgrade(ctx context.Context, c cluster.Cluster, o upgrade.Options) (claim, error) {
	if _, err := upgrade.Observe(ctx, c, o); err != nil && !wait.IsOutage(err) {
		return claim{}, err
	}
	report, err := upgrade.Run(ctx, c, o)
	said := claim{versions: map[string]map[string]string{}}
	if report.Inventory != nil {
		for _, r := range report.Inventory.Replicas {
			said.versions[r.ID] = map[string]string{}
			for part, c := range r.Containers {
				if c.Version != nil {
					said.versions[r.ID][part] = c.Version.String()
				}
			}
		}
	}
	return said, err
}

func joining(node string) func(context.Context, cluster.Cluster, *scene, wait.Pace) (claim, error) {
	return func(ctx context.Context, c cluster.Cluster, _ *scene, pace wait.Pace) (claim, error) {
		m, err := replica.Join(ctx, c, replica.Options{Node: node, Pace: pace})
		return claim{member: m.ID}, err
	}
}

func removing(nth int) func(context.Context, cluster.Cluster, *scene, wait.Pace) (claim, error) {
	return func(ctx context.Context, c cluster.Cluster, s *scene, pace wait.Pace) (claim, error) {
		return claim{}, replica.Remove(ctx, c, replica.Options{ReplicaID: s.model.begin[nth-1], Pace: pace})
	}
}

func caching(o contentcache.Options) func(context.Context, cluster.Cluster, *scene, wait.Pace) (claim, error) {
	return func(ctx context.Context, c cluster.Cluster, s *scene, pace wait.Pace) (claim, error) {
		o := o
		o.Name, o.Host, o.Version, o.Pace = "main", s.sim.CacheURL(), clustertest.Version("2.6.15"), pace
		o.Probe = &contentcache.Probe{CACert: s.sim.CACert()}
		registered, err := contentcache.Run(ctx, c, o, s.cache)
		if err == nil {
			s.cache = registered.ID
		}
		return claim{}, err
	}
}

// scene is one cluster, and the model that looks on.
type scene struct {
	sim   *simulator.Cluster
	model *model
	file  string // of the backup
	cache string // id of the registration that the state has: a creation that failed leaves none
}

// speed leaves a bootstrapper two seconds of the ten minutes for which it waits for a
// database, so that it fails on no busy machine.
const speed = 300

func start(t *testing.T, w work) *scene {
	t.Helper()
	w.options.Speed = speed
	s := &scene{sim: simulatortest.Start(t, simulatortest.Weathered(w.options)), file: filepath.Join(t.TempDir(), "dtr-backup.tar")}
	if w.prepare != nil {
		w.prepare(s)
	}
	s.model = watch(s, w.want)
	return s
}
