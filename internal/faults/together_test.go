package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
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
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// part is one of several applies at once.
type part struct {
	name    string
	run     func(context.Context, cluster.Cluster, *scene, wait.Pace) (claim, error)
	once    bool
	docker  bool // the engine of the first worker runs the bootstrapper, not UCP
	process bool // in a process and a directory of its own
}

func (p part) onDocker() part  { p.docker = true; return p }
func (p part) inProcess() part { p.process = true; return p }

func times(n int, p part) (parts []part) {
	for range n {
		parts = append(parts, p)
	}
	return parts
}

var (
	toTarget   = part{name: "upgrade", run: upgrading("2.6.15")}
	withBackup = part{name: "backup", run: func(ctx context.Context, c cluster.Cluster, s *scene, pace wait.Pace) (claim, error) {
		o := upgradeOptions(pace, "2.6.15")
		o.Backup = &upgrade.Backup{File: s.file}
		return runUpgrade(ctx, c, o)
	}}
	removal = part{name: "remove", run: removing(3)}
)

func joinOn(node string) part { return part{name: "join " + node, run: joining(node), once: true} }

// together are the applies that one cluster sees at once.
var together = []struct {
	name     string
	parts    []part
	want     want
	sessions int             // that UCP keeps; its default if 0
	fault    simulator.Fault // none where Times is 0
}{
	{
		name:     "ten upgrades",
		parts:    times(10, toTarget),
		want:     want{target: "2.6.15", members: 3, runs: map[string]int{"upgrade": 1}},
		sessions: 20,
	},
	{
		// With the bootstrapper they are more than the ten sessions of a user that UCP keeps: a
		// bootstrapper that loses its own fails, and is run again.
		name:  "ten upgrades with few sessions",
		parts: times(10, toTarget),
		want:  want{target: "2.6.15", members: 3, runs: map[string]int{"upgrade": 1}},
	},
	{
		name:  "two machines",
		parts: []part{toTarget, toTarget.onDocker()},
		want:  want{target: "2.6.15", members: 3, runs: map[string]int{"upgrade": 1}},
	},
	{
		name:  "two processes",
		parts: []part{toTarget.inProcess(), toTarget.inProcess().onDocker()},
		want:  want{target: "2.6.15", members: 3, runs: map[string]int{"upgrade": 1}},
	},
	{
		name:  "two processes with backups",
		parts: []part{withBackup.inProcess(), withBackup.inProcess().onDocker()},
		want:  want{target: "2.6.15", members: 3, runs: map[string]int{"upgrade": 1}},
	},
	{
		name:  "upgrade and backup",
		parts: []part{toTarget, withBackup},
		want:  want{target: "2.6.15", members: 3, runs: map[string]int{"upgrade": 1}},
	},
	{
		name:  "upgrade and join",
		parts: []part{toTarget, joinOn("worker4")},
		want:  want{target: "2.6.15", members: 4, runs: map[string]int{"upgrade": 1, "join": 1}},
	},
	{
		name:  "upgrade and removal",
		parts: []part{toTarget, removal},
		want:  want{target: "2.6.15", members: 2, runs: map[string]int{"upgrade": 1, "remove": 1}, removes: 3},
	},
	{
		name:  "backup, join and removal",
		parts: []part{withBackup, joinOn("worker4"), removal},
		want:  want{target: "2.6.15", members: 3, runs: map[string]int{"upgrade": 1, "join": 1, "remove": 1}, removes: 3},
	},
	{
		// Its second phase has ended well by then, and so the replica is there. The
		// container that this leaves is removed by the next bootstrapper.
		name:  "join by a bootstrapper that UCP turns away at its end",
		parts: []part{joinOn("worker4")},
		want:  want{target: "2.6.8", members: 4, runs: map[string]int{"join": 1}},
		fault: simulator.Fault{Bootstrapper: true, Method: http.MethodDelete, Path: "/containers/*", Status: http.StatusUnauthorized, Times: 2},
	},
	{
		name:  "joins and removal",
		parts: []part{joinOn("worker4"), joinOn("worker5"), joinOn("worker6").onDocker(), removal},
		want:  want{target: "2.6.8", members: 5, runs: map[string]int{"join": 3, "remove": 1}, removes: 3},
	},
	{
		name:  "upgrade, join and removal on two engines",
		parts: []part{toTarget, toTarget.onDocker(), joinOn("worker4").onDocker(), removal},
		want:  want{target: "2.6.15", members: 3, runs: map[string]int{"upgrade": 1, "join": 1, "remove": 1}, removes: 3},
	},
	{
		name:  "the same join and removal twice",
		parts: []part{joinOn("worker4"), joinOn("worker4").onDocker(), removal, removal},
		want:  want{target: "2.6.8", members: 3, runs: map[string]int{"join": 1, "remove": 1}, removes: 3},
	},
}

// unhurried is the pace of runs at once. With the 300 ms of a single run a join on another
// engine than UCP's was seen to start beside another one on a busy machine.
func unhurried() wait.Pace {
	p := patient
	p.Consistent = 5 * time.Second
	return p
}

// TestTogether has several applies at work on one cluster. Each may give way with an
// error; one after the other they then end well.
func TestTogether(t *testing.T) {
	if *oneCase != "" {
		return // of the walk
	}
	before := runtime.NumGoroutine()
	t.Run("cases", func(t *testing.T) {
		for _, c := range together {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				s := start(t, work{options: simulator.Options{Version: "2.6.8", Replicas: 3, Workers: 6, Sessions: c.sessions}})
				s.model.want = c.want
				if c.fault.Times > 0 {
					s.sim.Inject(c.fault)
				}
				attempts := make([]attempt, len(c.parts))
				var active sync.WaitGroup
				for i, p := range c.parts {
					active.Go(func() { attempts[i] = p.apply(t, s) })
				}
				active.Wait()
				clustertest.AwaitEnd(t, s.sim)
				if c.fault.Times > 0 && (attempts[0].err == nil || !s.model.leavesPhase2() || !hasContainer(s.sim, cluster.Phase2Name)) {
					t.Errorf("the bootstrapper was not turned away: %v", attempts[0].err)
				}
				for i, p := range c.parts {
					s.model.lookAtRun(t, attempts[i])
					if attempts[i].err != nil {
						t.Logf("%s gave way: %v", p.name, attempts[i].err)
					}
				}
				for i, p := range c.parts {
					if attempts[i].err == nil && p.once {
						continue
					}
					p.run = orThere(p.run)
					p.process = false
					a := p.apply(t, s)
					if s.model.lookAtRun(t, a); a.err != nil {
						t.Errorf("%s by itself: %v", p.name, a.err)
					}
				}
				s.model.lookAtSuccess(t)
			})
		}
	})
	wantNoGoroutines(t, before)
}

func hasContainer(sim *simulator.Cluster, name string) bool {
	return slices.ContainsFunc(sim.Containers(), func(c simulator.Container) bool { return c.Name == name })
}

func (p part) apply(t *testing.T, s *scene) attempt {
	t.Helper()
	if p.process {
		return p.applyInProcess(t, s)
	}
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	defer cancel()
	c := connect(t, s.sim, endpoint.Retry{Max: 3}, unhurried())
	if p.docker {
		c.Docker = cluster.NewDocker(ucp.DockerConfig{Host: s.sim.DockerHost()})
	}
	var log clustertest.Log
	said, err := wantNothingLeft(t, func() (claim, error) { return p.run(tflogtest.RootLogger(ctx, &log), c, s, unhurried()) })
	return attempt{claim: said, err: err, log: log.String(), hung: errors.Is(ctx.Err(), context.DeadlineExceeded)}
}

// processEnv has what the process of an apply is to do.
const processEnv = "DTR_FAULTS_APPLY"

type processWork struct {
	Info   simulator.Info
	Name   string
	Docker bool
}

func (p part) applyInProcess(t *testing.T, s *scene) attempt {
	t.Helper()
	told := clustertest.Must[[]byte](t)(json.Marshal(processWork{s.sim.Info(), p.name, p.docker}))
	ctx, cancel := context.WithTimeout(t.Context(), runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, clustertest.Must[string](t)(os.Executable()))
	cmd.Env, cmd.Dir = append(os.Environ(), processEnv+"="+string(told)), t.TempDir()
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	if left, _ := filepath.Glob(filepath.Join(cmd.Dir, ".*.partial")); len(left) > 0 {
		t.Errorf("files %v are left over", left)
	}
	return attempt{err: err, log: log.String(), hung: ctx.Err() != nil}
}

// TestMain works in the process of one apply, where it is one.
func TestMain(m *testing.M) {
	text := os.Getenv(processEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	if err := processApply(text); err != nil {
		_, _ = fmt.Fprint(os.Stdout, err)
		os.Exit(1)
	}
}

func processApply(text string) error {
	var told processWork
	if err := json.Unmarshal([]byte(text), &told); err != nil {
		return err
	}
	info := told.Info
	db, err := dtr.New(dtr.Config{URL: info.DTRURL, Username: info.Username, Password: info.Password, CACert: info.CACert})
	if err != nil {
		return err
	}
	u, err := ucp.New(ucp.Config{URL: info.UCPURL, Username: info.Username, Password: info.Password, CACert: info.CACert})
	if err != nil {
		return err
	}
	c := cluster.Cluster{DTR: db, UCP: u, Login: bootstrap.UCP{URL: info.UCPURL, Username: info.Username, Password: info.Password, CA: info.CACert}}
	if told.Docker {
		c.Docker = cluster.NewDocker(ucp.DockerConfig{Host: info.DockerHost})
	}
	run := toTarget.run
	if told.Name == withBackup.name {
		run = withBackup.run
	}
	_, err = run(tflogtest.RootLogger(context.Background(), os.Stderr), c, &scene{file: "dtr-backup.tar"}, unhurried())
	return err
}
