package upgrade

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/duration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

const stepPreflight = "preflight"

// lastLook limits the look at the cluster after a run, also after one that was
// cancelled.
const lastLook = 30 * time.Second

// Run takes the cluster to the target. It returns a report in every case: also
// next to an error it tells what was seen. Errors, in an *UnfinishedError where a hop
// was begun: *preflight.FailedError when
// nothing was touched, *ClosedWindowError, *wait.DetachedError,
// *runner.BootstrapperError, *cluster.VerifyError, *migration.Error, *BackupError,
// *images.BringError, *images.DigestError, *runner.ForeignContainerError,
// *cluster.NoReplicasError, and those of the clients.
func Run(ctx context.Context, c cluster.Cluster, o Options) (*Report, error) {
	r := newRun(c, o)
	r.report.To = o.Target.String()
	err := r.run(ctx)
	r.report.FinishedAt = time.Now().UTC()
	r.report.BootstrapperRuns, r.report.MigrationAttempts = r.runner.Runs, r.migrations.Attempts

	lookCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	inventory, lookErr := cluster.Inspect(lookCtx, c)
	if lookErr == nil { // of another cluster there is nothing to report
		lookErr = cluster.CheckHost(o.Host, inventory.Host)
	}
	if lookErr != nil {
		log.Warn(ctx, "The cluster could not be looked at after the run", map[string]any{"error": lookErr.Error()})
	} else {
		r.report.Inventory = inventory
	}
	return r.report, r.unfinished(lookCtx, err)
}

// unfinished is the error of a run with how far the cluster is, if anything of a hop
// was begun: an *UnfinishedError around it.
func (r *run) unfinished(ctx context.Context, err error) error {
	if err == nil || r.current == nil {
		return err
	}
	hop, inventory := *r.current, r.report.Inventory
	begun := r.runner.Runs > 0
	if inventory != nil && !begun {
		ours, found := inventory.UpgradeContainer()
		found = found && isForHop(ours.Labels, hop)
		begun = progressOf(inventory, hop, found) != hopNotBegun
	}
	if !begun {
		return err
	}
	e := &UnfinishedError{Hop: hop, Err: err, Ping: r.cluster.Ping(ctx)}
	if inventory != nil {
		e.Done, e.Replicas = replicasAt(inventory, hop)
	}
	return e
}

func (r *run) run(ctx context.Context) error {
	obs, plan, err := r.next(ctx)
	if err != nil {
		return err
	}
	r.report.StartedAt = time.Now().UTC()
	r.began = obs.Status.Date
	r.report.Hops, r.report.Resumed = plan.Left(), plan.Resume != nil
	r.report.From = obs.CurrentVersion().String()
	if len(r.report.Hops) > 0 {
		r.report.From = r.report.Hops[0].From.String()
	}
	r.report.PathFrom = r.report.From
	if path := obs.Path(plan, r.o); len(path) > 0 {
		r.report.PathFrom = path[0].From.String()
	}
	if plan.Due() {
		if err := r.checkArchives(ctx, obs, plan); err != nil {
			return wait.Detached(ctx, stepPreflight, err)
		}
		if err := r.hops(ctx, obs, plan); err != nil {
			return err
		}
	}
	if !r.verified && !r.o.verified() {
		verify := wait.Step{Name: cluster.StepVerify, Run: func(ctx context.Context) error { return r.verify(ctx, r.o.Target) }}
		// Somebody else may have made the hop for which an earlier apply has taken a backup.
		tidy := wait.Step{Name: stepTidy, Run: func(ctx context.Context) error { return runner.Outlast(ctx, r.runner.Pace, r.tidyBackup) }}
		if err := wait.Steps(ctx, r.o.Target.String(), []wait.Step{verify, tidy}); err != nil {
			return err
		}
	}
	if plan.Due() {
		r.followUp(ctx)
	}
	return nil
}

// hops works on the next hop until none is left, and plans again after each: what
// is next is read off the cluster, not remembered.
func (r *run) hops(ctx context.Context, obs *Observation, plan Plan) error {
	// More than stops for a hop to resume, a half-done replica, a migration; and
	// each hop may find the window closed once its images are there, or the bootstrapper
	// gone that it was to wait for.
	for range 2*len(r.o.stops()) + 3 {
		if !plan.Due() {
			return nil
		}
		err := r.hop(ctx, obs, plan.next())
		closed, waited := errors.AsType[*ClosedWindowError](err)
		switch {
		case waited:
			err = r.waitForWindow(ctx, closed)
		case errors.Is(err, errEnded):
			err = nil
		case err == nil:
			r.o.Applied = plan.next().To // with its migrations: nothing of it is owed
		}
		if err != nil {
			return err
		}
		if obs, plan, err = r.next(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("hop %s is due again after it was finished; look at container %s and at the versions that run",
		hopName(plan.next()), r.runner.ContainerName())
}

// hop makes a hop, and measures meanwhile whether DTR answers.
func (r *run) hop(ctx context.Context, obs *Observation, hop transition.Hop) error {
	r.current = &hop
	probe := startProbe(ctx, r.runner.Pace.Probe, r.cluster.Ping)
	err := wait.Steps(ctx, hopName(hop), r.steps(obs, hop))
	measured := probe.end()
	r.report.Probes += measured.probes
	r.report.FailedProbes += measured.failed
	r.report.LongestInterruption = max(r.report.LongestInterruption, measured.longest)
	return err
}

// next looks at the cluster for what is to be done next, and waits for the
// maintenance window first where that may be: then it looks once more.
func (r *run) next(ctx context.Context) (*Observation, Plan, error) {
	for {
		obs, plan, err := r.preflight(ctx)
		if err != nil {
			return nil, Plan{}, err
		}
		closed := obs.blockedByWindow(plan, r.o)
		if closed == nil {
			return obs, plan, nil
		}
		if err := r.waitForWindow(ctx, closed); err != nil {
			return nil, Plan{}, err
		}
	}
}

// preflight looks at the cluster and judges what it sees. What ends the run, or may come
// of an answer that is incomplete, is believed once every look has shown it for a while:
// a replica that UCP does not show while it starts over, a registry that fails, a garbage
// collection that is about to end. The report gets the warnings of the last time, without those
// of the first, which the plan has shown.
func (r *run) preflight(ctx context.Context) (obs *Observation, plan Plan, err error) {
	var findings preflight.Findings
	hidden, doubtful := wait.Lasting{Limit: r.runner.Pace.Consistent}, wait.Lasting{Limit: r.runner.Pace.Consistent}
	ctx, stop := wait.Tell(ctx, "Step "+stepPreflight, map[string]any{"step": stepPreflight})
	defer stop()
	err = wait.Until(ctx, r.runner.Pace, func(ctx context.Context) (bool, error) {
		obs, err = Observe(ctx, r.cluster, r.o)
		_, shownNone := errors.AsType[*cluster.NoReplicasError](err)
		hiddenThroughout := hidden.Seen(shownNone)
		if err != nil {
			doubtful.Seen(false)
			_, other := errors.AsType[*cluster.OtherClusterError](err)
			unknownHost, _ := errors.AsType[*net.DNSError](err)
			if other || hiddenThroughout || !r.looked && (!runner.MayPass(err) || unknownHost != nil && unknownHost.IsNotFound) {
				return false, wait.Fail(err)
			}
			return false, err
		}
		plan, findings = runChecks(obs, r.o, stage{applying: true, backedUp: r.backedUp})
		repairs := plan.Resume != nil && plan.Resume.Rule == transition.Same && obs.HalfDone() // or a container is not shown
		current := obs.CurrentVersion()
		lags := current != nil && r.o.Applied != nil && current.LessThan(r.o.Applied) // or the list is one of before
		doubt := repairs || lags || len(findings.Errors()) > 0
		return !doubt || doubtful.Seen(true), nil
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, Plan{}, &wait.DetachedError{Step: stepPreflight, Cause: context.Cause(ctx), LastError: wait.LastError(ctx, err)}
		}
		return nil, Plan{}, err
	}
	r.looked = true
	r.runner.Host = obs.Host
	r.seen, r.accepted = obs.Inventory, obs.acceptedHealth(r.o)
	if len(findings.Errors()) > 0 {
		if r.current != nil && plan.Due() { // a hop was finished, and it is the next one that cannot be begun
			next := plan.next()
			r.current = &next
		}
		return nil, Plan{}, &preflight.FailedError{Findings: findings}
	}
	if r.report.From == "" {
		r.planned = findings
	}
	r.report.Warnings = slices.DeleteFunc(slices.Clone(findings), func(f preflight.Finding) bool {
		return slices.ContainsFunc(r.planned, func(known preflight.Finding) bool { return known.Check == f.Check && known.Summary == f.Summary })
	})
	return obs, plan, nil
}

// followUp notes what the operator has to do after an upgrade.
func (r *run) followUp(ctx context.Context) {
	warn := func(f preflight.Finding) { r.report.Warnings = append(r.report.Warnings, f) }
	if f, due := r.notUpgraded(ctx); due {
		warn(f)
	}
	if limit := r.o.MaxInterruption; limit > 0 && r.report.LongestInterruption > limit {
		warn(preflight.Finding{
			Check:   preflight.FollowUpInterruption,
			Summary: "The upgrade interrupted DTR for longer than expected",
			Seen: fmt.Sprintf("DTR's address did not answer well for %s; the configured maximum is %s.\nFailed probes: %d of %d",
				duration.Text(r.report.LongestInterruption.Round(time.Millisecond)), duration.Text(limit), r.report.FailedProbes, r.report.Probes),
			Todo: "Check that the load balancer in front of DTR takes a replica out while its /_ping fails.",
		})
	}
}

// notUpgraded names what an upgrade of DTR leaves as it is. Whether that follows by
// itself is not known here.
func (r *run) notUpgraded(ctx context.Context) (f preflight.Finding, due bool) {
	var what, seen, todo []string
	verb := "is"
	if caches, err := r.cluster.DTR.Caches().List(ctx); err != nil {
		log.Warn(ctx, "The content caches could not be listed", map[string]any{"error": err.Error()})
	} else if len(caches) > 0 {
		var names []string
		for _, c := range caches {
			names = append(names, fmt.Sprintf("%s at %s", c.Name, c.Host))
		}
		verb = "are"
		what, seen = append(what, "Content caches"), append(seen, "Content caches: "+strings.Join(names, ", "))
		todo = append(todo, "upgrade the caches to "+bootstrap.CacheImage("", "", r.o.Target))
	}
	scan, err := r.cluster.DTR.Database().Status(ctx)
	api, refused := errors.AsType[*dtr.APIError](err)
	switch {
	case refused && api.Code == dtr.CodeScanningNotEnabled, scan.Busy:
	case err != nil:
		log.Warn(ctx, "The state of the vulnerability database could not be read", map[string]any{"error": err.Error()})
	case r.began.IsZero() || scan.DBUpdatedAt.Before(r.began):
		what = append(what, "the vulnerability database")
		seen = append(seen, "Vulnerability database: of "+scan.DBUpdatedAt.UTC().Format(time.RFC3339)+", before the upgrade")
		todo = append(todo, "download the database again under System > Security in DTR's web interface")
	}
	if len(what) == 0 {
		return f, false
	}
	summary := strings.Join(what, " and ")
	return preflight.Finding{
		Check:   preflight.FollowUp,
		Summary: strings.ToUpper(summary[:1]) + summary[1:] + " " + verb + " not upgraded with DTR",
		Seen:    strings.Join(seen, "\n"),
		Todo:    "Unless they follow by themselves: " + strings.Join(todo, ", and ") + ".",
		Advice:  []preflight.Advice{{Kind: preflight.FollowByResource}},
	}, true
}
