package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-log/tflog"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// StepVerify is the name of the step in which a run verifies the cluster.
const StepVerify = "verify"

// Verification checks that a cluster is complete, at a version, and healthy.
type Verification struct {
	Cluster  Cluster
	Pace     wait.Pace
	Progress *Progress
	Target   *semver.Version
	// Own returns the problems with what the run itself has changed. The rest of the
	// cluster may be what somebody else is changing, and is given more time. nil treats
	// the whole cluster as the run's own.
	Own func(*Inventory) []Problem
}

// VerifyError says that the cluster is not at the target, or not healthy, although the
// bootstrapper has succeeded.
type VerifyError struct {
	Target   *semver.Version
	After    time.Duration
	Problems []Problem // never empty
}

func (e *VerifyError) Error() string {
	return fmt.Sprintf("not at %s after %s: %s", e.Target, e.After.Round(time.Second), ProblemsText(e.Problems))
}

// Run waits until every container of every replica is at the target and every replica
// is healthy, twice in a row, the second time with newer health reports.
// Errors: a *VerifyError, a *wait.DetachedError, and those of the clients.
func (v Verification) Run(ctx context.Context) error {
	started := time.Now()
	var first *evidence
	err := wait.Until(ctx, v.Pace, func(ctx context.Context) (bool, error) {
		seen, err := v.look(ctx)
		if err != nil {
			first = nil
			return false, err
		}
		v.Progress.Report(ctx, seen.inventory, v.Target)
		problems, limit := v.problems(seen)
		switch {
		case len(problems) > 0:
			first = nil
		case first == nil:
			first = seen
			return false, nil
		default:
			if problems = seen.notRefreshed(first); len(problems) == 0 {
				return true, nil
			}
		}
		if after := time.Since(started); after > limit {
			return false, wait.Fail(&VerifyError{Target: v.Target, After: after, Problems: problems})
		}
		return false, nil
	})
	if err != nil && ctx.Err() != nil {
		return &wait.DetachedError{Step: StepVerify, Cause: context.Cause(ctx)}
	}
	return err
}

// problems returns what is wrong with the cluster, and for how long that is tolerated.
func (v Verification) problems(seen *evidence) ([]Problem, time.Duration) {
	wrong, problems := seen.inventory.Problems(v.Target), seen.unhealthy()
	if v.Own != nil {
		problems = append(wrong, problems...)
		wrong = v.Own(seen.inventory)
	}
	if len(wrong) > 0 {
		return append(wrong, problems...), v.Pace.Consistent
	}
	return problems, v.Pace.Healthy
}

// evidence is the state of the cluster that a verification has read.
type evidence struct {
	inventory *Inventory
	status    dtr.ClusterStatus
	ping      error // nil if DTR's address answered that it is healthy
}

// look reads the evidence, with all requests in parallel.
func (v Verification) look(ctx context.Context) (*evidence, error) {
	seen := &evidence{}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { seen.inventory, err = Inspect(groupCtx, v.Cluster); return err })
	group.Go(func() (err error) { seen.status, err = v.Cluster.DTR.ClusterStatus(groupCtx); return err })
	group.Go(func() error { seen.ping = v.Cluster.Ping(groupCtx); return nil })
	return seen, group.Wait()
}

// unhealthy returns the problems with health, not with versions.
func (e *evidence) unhealthy() []Problem {
	var problems []Problem
	for _, r := range e.inventory.Replicas {
		for _, part := range bootstrap.Parts {
			c, ok := r.Containers[part.Name]
			switch {
			case !ok:
			case c.State != StateRunning:
				problems = append(problems, Problem{r.ID, c.Name, "is " + c.State})
			case strings.Contains(c.Status, "(unhealthy)"), strings.Contains(c.Status, "(health: starting)"):
				problems = append(problems, Problem{r.ID, c.Name, "is not healthy: " + c.Status})
			}
		}
		health, reported := e.status.Health[r.ID]
		switch {
		case !reported:
			problems = append(problems, Problem{r.ID, "", "does not report its health"})
		case health != dtr.HealthOK:
			problems = append(problems, Problem{r.ID, "", "reports: " + health})
		case !e.status.Timestamp[r.ID].After(r.Newest()):
			problems = append(problems, Problem{r.ID, "", "has not reported since its containers were replaced"})
		}
	}
	if e.ping != nil {
		problems = append(problems, Problem{Text: "DTR's address does not answer well: " + e.ping.Error()})
	}
	return problems
}

// notRefreshed returns the replicas whose health report is no newer than it was
// earlier: a good report that is not refreshed may be the last one of a dead replica.
func (e *evidence) notRefreshed(earlier *evidence) []Problem {
	var problems []Problem
	for _, r := range e.inventory.Replicas {
		if !e.status.Timestamp[r.ID].After(earlier.status.Timestamp[r.ID]) {
			problems = append(problems, Problem{r.ID, "", "does not refresh its health report"})
		}
	}
	return problems
}

// Progress logs each replica that has come to a target, once. The zero value is ready
// to use.
type Progress struct{ reported map[string]bool }

// Report logs the replicas that have come to the target since the last report.
func (p *Progress) Report(ctx context.Context, inventory *Inventory, target *semver.Version) {
	if target == nil { // a container that somebody labelled by hand, or another version of this provider
		return
	}
	arrived := 0
	for _, replica := range inventory.Replicas {
		if len(replica.Missing()) > 0 || replica.Version() == nil || replica.Version().LessThan(target) {
			continue
		}
		arrived++
		key := target.String() + " " + replica.ID
		if p.reported[key] {
			continue
		}
		if p.reported == nil {
			p.reported = map[string]bool{}
		}
		p.reported[key] = true
		tflog.Info(ctx, "Replica runs the target version", map[string]any{
			"replica_id": replica.ID, "node": replica.Node, "version": target.String(),
			"replicas_at_target": arrived, "replicas": len(inventory.Replicas),
		})
	}
}
