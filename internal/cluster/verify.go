package cluster

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/duration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// StepVerify is the name of the step in which a run verifies the cluster.
const StepVerify = "verify"

// inspections is how many containers are inspected at a time.
const inspections = 6

// Verification is the proof that a cluster is whole.
type Verification struct {
	Cluster  Cluster
	Pace     wait.Pace
	Progress *Progress
	Target   *semver.Version
	// Own returns the problems with what the run itself has changed. The rest of the
	// cluster may be what somebody else is changing, and is given more time. nil treats
	// the whole cluster as the run's own.
	Own func(*Inventory) []Problem
	// Accepted are the replicas whose own word of their health is not asked for: it
	// was bad before, and that was accepted. Their containers have to run all the same.
	Accepted map[string]bool
}

// VerifyError says that the cluster is not at the target, or not healthy, although the
// bootstrapper has succeeded.
type VerifyError struct {
	Target   *semver.Version
	After    time.Duration
	Problems []Problem // never empty
}

func (e *VerifyError) Error() string {
	return fmt.Sprintf("not at %s after %s: %s", e.Target, duration.Text(e.After.Round(time.Second)), ProblemsText(e.Problems))
}

// Run waits until every container of every replica is at the target and every replica
// healthy, from a first to a last look in a row: each container has the same start in
// both and has been up for a while in the last, for longer where its engine had to start
// it again, and the last has newer health reports.
// What is wrong in one look alone fails nothing.
//
// Errors: a *VerifyError, a *wait.DetachedError, and those of the clients.
func (v Verification) Run(ctx context.Context) error {
	p := &proof{Verification: v, started: time.Now(), seen: map[subject]time.Time{}}
	err := wait.Until(ctx, v.Pace, p.next)
	if err != nil && ctx.Err() != nil {
		return &wait.DetachedError{Step: StepVerify, Cause: context.Cause(ctx), LastError: wait.LastError(ctx, err)}
	}
	return err
}

// proof is a verification under way.
type proof struct {
	Verification
	started time.Time
	first   *evidence // the good look that the last is compared with; nil while there is none
	again   time.Time // when containers are inspected next, after some were started again

	seen    map[subject]time.Time // when each problem was seen first
	lasting map[subject]time.Time // since when it has been seen in every look
}

// subject is what a problem is about. Its text may change from look to look.
type subject struct{ replica, container string }

// next looks once.
func (p *proof) next(ctx context.Context) (done bool, err error) {
	now := time.Now()
	look, err := p.look(ctx)
	var wrong, unwell []Problem
	if err == nil {
		p.Progress.Report(ctx, look.inventory, p.Target)
		wrong, unwell = p.problems(look)
		if len(wrong)+len(unwell) > 0 {
			p.first = nil
		} else {
			done, unwell, err = p.compare(ctx, look, now)
		}
	}
	if err != nil { // what was seen before and after is then not seen throughout
		p.first, p.lasting = nil, nil
		if time.Since(p.started) > 2*p.Pace.Healthy {
			return false, wait.Fail(err)
		}
		return false, err
	}
	if done {
		return true, nil
	}
	problems := slices.Concat(wrong, unwell)
	wait.Remark(ctx, ProblemsText(problems))
	if len(problems) > 0 {
		p.note(problems, now)
		if p.failed(wrong, problems, now) {
			return false, wait.Fail(&VerifyError{Target: p.Target, After: now.Sub(p.started), Problems: problems})
		}
	} else {
		p.lasting = nil
	}
	return false, nil
}

// compare holds a good look against the first one. The problems are what has changed
// meanwhile that must not, and what has not that must. Containers are inspected in the
// two looks that decide alone.
func (p *proof) compare(ctx context.Context, look *evidence, now time.Time) (done bool, problems []Problem, err error) {
	look.at = now
	if p.first == nil {
		p.first = look
		return false, nil, p.readStarts(ctx, look)
	}
	if problems = append(p.notRefreshed(look), look.justStarted(p.Pace.Steady)...); len(problems) > 0 || now.Before(p.again) {
		return false, problems, nil
	}
	if err := p.readStarts(ctx, look); err != nil {
		return false, nil, err
	}
	if problems = append(look.startedAgain(p.first), look.restarted(p.Pace.Consistent)...); len(problems) > 0 {
		p.first, p.again = look, now.Add(p.Pace.Consistent)
	}
	return len(problems) == 0, problems, nil
}

// note keeps the times at which the problems were seen.
func (p *proof) note(problems []Problem, now time.Time) {
	lasting := map[subject]time.Time{}
	for _, problem := range problems {
		of := problem.subject()
		lasting[of] = now
		if before, ok := p.lasting[of]; ok {
			lasting[of] = before
		}
		if _, ok := p.seen[of]; !ok {
			p.seen[of] = now
		}
	}
	p.lasting = lasting
}

// failed reports whether the problems end the verification: what is wrong was seen
// in every look for as long as UCP's inventory may lag behind, or the time is over in
// which the cluster may become well, and this was not seen now for the first time.
func (p *proof) failed(wrong, problems []Problem, now time.Time) bool {
	for _, problem := range wrong {
		if now.Sub(p.lasting[problem.subject()]) >= p.Pace.Consistent {
			return true
		}
	}
	if now.Sub(p.started) <= p.Pace.Healthy {
		return false
	}
	for _, problem := range problems {
		if now.Sub(p.seen[problem.subject()]) >= p.Pace.Consistent {
			return true
		}
	}
	return false
}

// problems are what keeps the cluster from being whole: what a lagging inventory
// explains for a moment only, and what may take its time.
func (p *proof) problems(look *evidence) (wrong, unwell []Problem) {
	wrong, unwell = look.inventory.Problems(p.Target), p.unhealthy(look)
	if p.Own != nil {
		wrong, unwell = p.Own(look.inventory), append(wrong, unwell...)
	}
	return wrong, unwell
}

// evidence is the state of the cluster that a verification has read.
type evidence struct {
	at        time.Time
	inventory *Inventory
	status    dtr.ClusterStatus
	ping      error // nil when the cluster answered well

	starts map[string]start // of each container, by name; only of a look that is compared
}

// start is the last start of a container.
type start struct {
	at       time.Time
	restarts int // by its engine, this one included if it was by that
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

// readStarts asks when each container was started, which no list of containers
// tells.
func (v Verification) readStarts(ctx context.Context, look *evidence) error {
	engine, err := v.Cluster.UCP.Engine(ctx)
	if err != nil {
		return err
	}
	var all []Container
	for _, r := range look.inventory.Replicas {
		for _, part := range bootstrap.Parts {
			if c, ok := r.Containers[part.Name]; ok {
				all = append(all, c)
			}
		}
	}
	starts := make([]start, len(all))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(inspections)
	for i, c := range all {
		group.Go(func() error {
			state, err := engine.Container(groupCtx, c.ID)
			starts[i] = start{state.StartedAt, state.Restarts}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	look.starts = make(map[string]start, len(all))
	for i, c := range all {
		look.starts[c.Name] = starts[i]
	}
	return nil
}

// unhealthy are the reasons, besides versions, why the cluster is not whole.
func (v Verification) unhealthy(look *evidence) []Problem {
	var problems []Problem
	for _, r := range look.inventory.Replicas {
		problems = append(problems, r.NotRunning()...)
		for _, part := range bootstrap.Parts {
			c, ok := r.Containers[part.Name]
			if ok && c.Running() && (strings.Contains(c.Status, "(unhealthy)") || strings.Contains(c.Status, "(health: starting)")) {
				problems = append(problems, Problem{r.ID, c.Name, "is not healthy: " + c.Status})
			}
		}
		health, reported := look.status.Health[r.ID]
		switch {
		case v.Accepted[r.ID]:
		case !reported:
			problems = append(problems, Problem{r.ID, "", "does not report its health"})
		case health != dtr.HealthOK:
			problems = append(problems, Problem{r.ID, "", "reports: " + health})
		}
	}
	var unhealthy *UnhealthyError // any replica may have answered, one that is accepted among them
	if look.ping != nil && (len(v.Accepted) == 0 || !errors.As(look.ping, &unhealthy)) {
		problems = append(problems, Problem{Text: "DTR's address does not answer well: " + look.ping.Error()})
	}
	return problems
}

// upFor reads how long a container has been up, of Docker's sentence: whole seconds,
// rounded up, or minutes and more.
var upFor = regexp.MustCompile(`^Up (?:Less than a second|(\d+) seconds?)\b`)

// justStarted are the containers that have not been up for so long, by the clock of
// their own node.
func (e *evidence) justStarted(steady time.Duration) []Problem {
	var problems []Problem
	for _, r := range e.inventory.Replicas {
		for _, part := range bootstrap.Parts {
			c := r.Containers[part.Name]
			m := upFor.FindStringSubmatch(c.Status)
			if m == nil {
				continue
			}
			seconds, _ := strconv.Atoi(m[1]) // none in less than one
			if time.Duration(max(seconds, 1))*time.Second < steady {
				problems = append(problems, Problem{r.ID, c.Name, "was started a moment ago: " + c.Status})
			}
		}
	}
	return problems
}

// startedAgain are the containers that were started since the earlier look, however
// well they run in both.
func (e *evidence) startedAgain(earlier *evidence) []Problem {
	var problems []Problem
	for _, r := range e.inventory.Replicas {
		for _, part := range bootstrap.Parts {
			c := r.Containers[part.Name]
			if !e.starts[c.Name].at.Equal(earlier.starts[c.Name].at) {
				problems = append(problems, Problem{r.ID, c.Name, "was started again within " + duration.Text(e.at.Sub(earlier.at).Round(time.Second))})
			}
		}
	}
	return problems
}

// restarted are the containers that ended and were started again by their engine, and
// that have not been up for so long since: they may end again.
func (e *evidence) restarted(steady time.Duration) []Problem {
	problems := slices.DeleteFunc(e.justStarted(steady), func(p Problem) bool { return e.starts[p.Container].restarts == 0 })
	for i, p := range problems {
		problems[i].Text = fmt.Sprintf("has ended and was started again by its engine, %d times so far", e.starts[p.Container].restarts)
	}
	return problems
}

// notRefreshed are the replicas whose report is no newer than at the first look: a
// good report that is not refreshed may be the last one of a dead replica, or one from
// before its containers were replaced. Each report is compared with an earlier one of
// the same replica: no two clocks need agree.
func (p *proof) notRefreshed(look *evidence) []Problem {
	var problems []Problem
	for _, r := range look.inventory.Replicas {
		if !p.Accepted[r.ID] && !look.status.Timestamp[r.ID].After(p.first.status.Timestamp[r.ID]) {
			problems = append(problems, Problem{r.ID, "", "does not refresh its health report"})
		}
	}
	return problems
}

// Progress logs each replica that has come to a target, once, and shows how many parts
// of all have. The zero value is ready to use.
type Progress struct{ reported map[string]bool }

// Report logs the replicas that have come to the target since the last report.
func (p *Progress) Report(ctx context.Context, inventory *Inventory, target *semver.Version) {
	if target == nil { // a container that somebody labelled by hand, or another version of this provider
		return
	}
	arrived, parts, all := 0, 0, 0
	for _, replica := range inventory.Replicas {
		all += len(bootstrap.Parts)
		for _, c := range replica.Containers {
			if c.Version != nil && !c.Version.LessThan(target) {
				parts++
			}
		}
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
		log.Info(ctx, fmt.Sprintf("Replica %s on %s runs %s (%d of %d)", replica.ID, replica.Node, target, arrived, len(inventory.Replicas)), map[string]any{
			"replica_id": replica.ID, "node": replica.Node, "version": target.String(),
			"replicas_at_target": arrived, "replicas": len(inventory.Replicas),
		})
	}
	log.Bar(ctx, parts, all, fmt.Sprintf("%d/%d replicas, %d/%d parts", arrived, len(inventory.Replicas), parts, all))
}
