package upgrade

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-log/tflog"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// look is one look at the cluster for its verification.
type look struct {
	inventory *Inventory
	status    dtr.ClusterStatus
	ping      error // nil when the cluster answered well
}

// look reads all that a verification judges, side by side.
func (r *run) look(ctx context.Context) (look, error) {
	var l look
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { l.inventory, err = Inspect(groupCtx, r.cluster); return err })
	group.Go(func() (err error) { l.status, err = r.cluster.DTR.ClusterStatus(groupCtx); return err })
	group.Go(func() error { l.ping = r.ping(groupCtx); return nil })
	return l, group.Wait()
}

// wrong are the containers that are not at the target; unhealthy is what else
// keeps the cluster from being whole.
func (l look) judge(target *semver.Version) (wrong, unhealthy []Problem) {
	wrong = l.inventory.Problems(target)
	for _, r := range l.inventory.Replicas {
		for _, part := range bootstrap.Parts {
			c, ok := r.Containers[part.Name]
			switch {
			case !ok:
			case c.State != "running":
				unhealthy = append(unhealthy, Problem{r.ID, c.Name, "is " + c.State})
			case strings.Contains(c.Status, "(unhealthy)"), strings.Contains(c.Status, "(health: starting)"):
				unhealthy = append(unhealthy, Problem{r.ID, c.Name, "is not healthy: " + c.Status})
			}
		}
		health, reported := l.status.Health[r.ID]
		switch {
		case !reported:
			unhealthy = append(unhealthy, Problem{r.ID, "", "does not report its health"})
		case health != dtr.HealthOK:
			unhealthy = append(unhealthy, Problem{r.ID, "", "reports: " + health})
		case !l.status.Timestamp[r.ID].After(r.newest()):
			unhealthy = append(unhealthy, Problem{r.ID, "", "has not reported since its containers were replaced"})
		}
	}
	if l.ping != nil {
		unhealthy = append(unhealthy, Problem{Text: "DTR's address does not answer well: " + l.ping.Error()})
	}
	return wrong, unhealthy
}

// notAdvanced are the replicas whose report is no newer than at the earlier
// look: a good report that is not refreshed may be all that is left of them.
func (l look) notAdvanced(earlier look) []Problem {
	var problems []Problem
	for _, r := range l.inventory.Replicas {
		if !l.status.Timestamp[r.ID].After(earlier.status.Timestamp[r.ID]) {
			problems = append(problems, Problem{r.ID, "", "does not refresh its health report"})
		}
	}
	return problems
}

// verify waits until every container of every replica is at the target and
// every replica healthy, in two looks in a row of which the second has newer
// reports. Where own says what the run has to answer for, the rest of the cluster
// may be the work of somebody else, and is given more time. The error is a
// *VerifyError, or what kept it from looking.
func (r *run) verify(ctx context.Context, target *semver.Version, own func(*Inventory) []Problem) error {
	started := time.Now()
	pause := newPause(r.pace.Poll)
	gone := outage{limit: r.pace.Outage}
	var first *look
	for {
		l, err := r.look(ctx)
		if ctx.Err() != nil {
			return &DetachedError{Step: stepVerify, Cause: context.Cause(ctx)}
		}
		if fatal(err) || gone.over(err) {
			return err
		}
		if err == nil {
			r.progress(ctx, l.inventory, target)
			wrong, problems := l.judge(target)
			if own != nil {
				problems = append(wrong, problems...)
				wrong = own(l.inventory)
			}
			limit := r.pace.Healthy
			switch {
			case len(wrong) > 0:
				first, limit, problems = nil, r.pace.Consistent, append(wrong, problems...)
			case len(problems) > 0:
				first = nil
			case first == nil:
				first = &l
			default:
				if problems = l.notAdvanced(*first); len(problems) == 0 {
					return nil
				}
			}
			if after := time.Since(started); len(problems) > 0 && after > limit {
				return &VerifyError{Target: target, After: after, Problems: problems}
			}
		} else {
			first = nil
			tflog.Debug(ctx, "The cluster could not be looked at", map[string]any{"error": err.Error()})
		}
		if err := pause.wait(ctx); err != nil {
			return &DetachedError{Step: stepVerify, Cause: err}
		}
	}
}

// fatal says whether an error will not go away by asking again.
func fatal(err error) bool {
	var dtrError *dtr.APIError
	var ucpError *ucp.APIError
	return errors.As(err, &dtrError) && (dtrError.Unauthorized() || dtrError.Forbidden()) ||
		errors.As(err, &ucpError) && ucpError.Unauthorized()
}

// progress logs each replica once that has come to the target.
func (r *run) progress(ctx context.Context, inventory *Inventory, target *semver.Version) {
	arrived := 0
	for _, replica := range inventory.Replicas {
		if len(replica.missing()) > 0 || replica.Version() == nil || replica.Version().LessThan(target) {
			continue
		}
		arrived++
		if key := target.String() + " " + replica.ID; !r.reported[key] {
			r.reported[key] = true
			tflog.Info(ctx, "Replica runs the target version", map[string]any{
				"replica_id": replica.ID, "node": replica.Node, "version": target.String(),
				"replicas_at_target": arrived, "replicas": len(inventory.Replicas),
			})
		}
	}
}
