package upgrade

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// StepBackup is the step before the first hop.
const StepBackup = "backup"

// The steps of a hop.
const (
	stepImages    = "images"
	stepUpgrade   = "upgrade"
	stepVerify    = "verify"
	stepMigration = "migration"
	stepTidy      = "tidy"
)

// lastLook limits the look at the cluster after a run, also after one that was
// cancelled.
const lastLook = 30 * time.Second

// Report is what a run did and saw.
type Report struct {
	From, To              string
	StartedAt, FinishedAt time.Time
	Hops                  []transition.Hop // that were due at the start
	Resumed               bool             // an earlier run's hop was seen to its end

	BootstrapperRuns  int // started or adopted
	MigrationAttempts int // of all migration jobs of this run's hops

	Probes, FailedProbes int
	LongestInterruption  time.Duration

	Warnings  Findings
	Inventory *Inventory // as it was at the end; nil when the cluster did not answer
}

// Worked says whether there was anything to do.
func (r *Report) Worked() bool { return r.Resumed || len(r.Hops) > 0 }

type run struct {
	cluster  Cluster
	o        Options
	pace     Pace
	report   *Report
	reported map[string]bool // what progress was logged
	direct   *ucp.Engine     // the engine of Cluster.Docker, once connected

	host          string // DTR's external host
	containerName string // of the bootstrapper
}

// Run takes the cluster to the target. It returns a report in every case: also
// next to an error it tells what was seen. Errors: *PreflightError when nothing
// was touched, *ClosedWindowError, *DetachedError, *BootstrapperError,
// *VerifyError, *MigrationError, *BackupError, *ArchiveError, *DigestError,
// *ForeignContainerError, *NoReplicasError, and those of the clients.
func Run(ctx context.Context, c Cluster, o Options) (*Report, error) {
	r := newRun(c, o)
	r.report.To = o.Target.String()
	err := r.run(ctx)
	r.report.FinishedAt = time.Now().UTC()

	lookCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	inventory, lookErr := Inspect(lookCtx, c)
	if lookErr == nil { // of another cluster there is nothing to report
		lookErr = isMeant(o.Host, inventory.Host)
	}
	if lookErr != nil {
		tflog.Warn(ctx, "The cluster could not be looked at after the run", map[string]any{"error": lookErr.Error()})
	} else {
		r.report.Inventory = inventory
	}
	return r.report, err
}

func newRun(c Cluster, o Options) *run {
	o.applying = true
	return &run{
		cluster: c, o: o, pace: o.Pace.orDefault(), reported: map[string]bool{},
		report: &Report{},
	}
}

func (r *run) run(ctx context.Context) error {
	obs, plan, err := r.next(ctx)
	if err != nil {
		return err
	}
	r.report.StartedAt = time.Now().UTC()
	r.report.From = obs.CurrentVersion().String()
	r.report.Hops, r.report.Resumed = plan.Hops, plan.Resume != nil
	if !plan.Due() {
		return nil
	}
	if err := r.checkArchives(ctx, obs, plan); err != nil {
		return stoppedBy(ctx, "preflight", err)
	}

	if err := r.hops(ctx, obs, plan); err != nil {
		return err
	}
	r.followUp(ctx)
	return nil
}

// hops works on the next hop until none is left, and plans anew after each: what
// is next is read off the cluster, not remembered.
func (r *run) hops(ctx context.Context, obs *Observation, plan Plan) error {
	// More than stops for a hop to resume, a half-done replica, a migration; and
	// each hop may find the window closed once its images are there.
	for range 2*len(r.o.stops()) + 3 {
		if !plan.Due() {
			return nil
		}
		err := r.hop(ctx, obs, plan.next())
		if closed, ok := errors.AsType[*ClosedWindowError](err); ok {
			err = r.await(ctx, closed)
		}
		if err != nil {
			return err
		}
		if obs, plan, err = r.next(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("hop %s is due again after it was finished; look at container %s and at the versions that run", hopName(plan.next()), r.containerName)
}

// hop makes a hop, and measures meanwhile whether DTR answers.
func (r *run) hop(ctx context.Context, obs *Observation, hop transition.Hop) error {
	probe := startProbe(ctx, r.pace.Probe, r.ping)
	err := runSteps(ctx, hopName(hop), r.steps(obs, hop))
	measured := probe.end()
	r.report.Probes += measured.probes
	r.report.FailedProbes += measured.failed
	r.report.LongestInterruption = max(r.report.LongestInterruption, measured.longest)
	return err
}

// steps are what a hop is made of.
func (r *run) steps(obs *Observation, hop transition.Hop) []Step {
	return []Step{
		{StepBackup, r.backupNotNeeded(obs), func(ctx context.Context) error { return r.backup(ctx, obs, hop) }},
		{stepImages, r.imagesNotNeeded(hop), func(ctx context.Context) error { return r.images(ctx, obs, hop) }},
		{stepUpgrade, r.upgraded(hop), func(ctx context.Context) error { return r.upgrade(ctx, obs, hop) }},
		{stepVerify, nil, func(ctx context.Context) error { return r.verify(ctx, hop.To, nil) }},
		{stepMigration, r.migrated(hop), func(ctx context.Context) error { return r.migrate(ctx, hop) }},
		{stepTidy, nil, func(ctx context.Context) error { return r.tidy(ctx, hop) }},
	}
}

func hopName(hop transition.Hop) string { return hop.From.String() + " -> " + hop.To.String() }

// next looks at the cluster for what is to be done next, and waits for the
// maintenance window first where that may be: then it looks once more.
func (r *run) next(ctx context.Context) (*Observation, Plan, error) {
	for {
		obs, plan, err := r.preflight(ctx)
		if err != nil {
			return nil, Plan{}, err
		}
		closed := obs.heldBack(plan, r.o)
		if closed == nil {
			return obs, plan, nil
		}
		if err := r.await(ctx, closed); err != nil {
			return nil, Plan{}, err
		}
	}
}

// preflight looks at the cluster and judges what it sees. The warnings of the
// first time go into the report.
func (r *run) preflight(ctx context.Context) (*Observation, Plan, error) {
	obs, err := Observe(ctx, r.cluster, r.o)
	if err != nil {
		if ctx.Err() != nil {
			return nil, Plan{}, &DetachedError{Step: "preflight", Cause: context.Cause(ctx)}
		}
		return nil, Plan{}, err
	}
	r.host, r.containerName = obs.Host, containerName(obs.Host)
	plan, findings := Preflight(obs, r.o)
	if len(findings.Errors()) > 0 {
		return nil, Plan{}, &PreflightError{Findings: findings}
	}
	if r.report.From == "" {
		r.report.Warnings = findings
	}
	return obs, plan, nil
}

// runner is the engine that runs the bootstrapper.
func (r *run) runner(ctx context.Context) (*ucp.Engine, error) {
	if r.cluster.Docker == nil {
		return r.cluster.UCP.Engine(ctx)
	}
	if r.direct == nil {
		engine, err := ucp.NewEngine(ctx, *r.cluster.Docker)
		if err != nil {
			return nil, err
		}
		r.direct = engine
	}
	return r.direct, nil
}

// ping asks DTR's external address for its health. Which path it answers on
// depends on the version, and the version is about to change.
func (r *run) ping(ctx context.Context) error {
	answer, err := r.cluster.DTR.PingPath(ctx, dtr.DefaultPingPath)
	var api *dtr.APIError
	if errors.As(err, &api) && api.StatusCode == http.StatusNotFound {
		answer, err = r.cluster.DTR.PingPath(ctx, dtr.HealthPath)
	}
	switch {
	case err != nil:
		return err
	case !answer.Healthy:
		return fmt.Errorf("not healthy: %s", answer.Error)
	}
	return nil
}

// followUp notes what the operator has to do after an upgrade.
func (r *run) followUp(ctx context.Context) {
	warn := func(check Check, summary, seen, todo string) {
		r.report.Warnings = append(r.report.Warnings, Finding{Check: check, Severity: Warning, Summary: summary, Detail: seen + "\n\n" + todo})
	}
	if caches, err := r.cluster.DTR.ContentCaches(ctx); err != nil {
		tflog.Warn(ctx, "The content caches could not be listed", map[string]any{"error": err.Error()})
	} else {
		for _, c := range caches {
			warn(FollowUpContentCache, fmt.Sprintf("Content cache %s may not run %s", c.Name, r.o.Target),
				fmt.Sprintf("Content cache %s at %s is registered in DTR, which does not tell its version.", c.Name, c.Host),
				fmt.Sprintf("Bring it to %s: a cache on another version causes authentication errors. "+
					"A dtr_content_cache with version = dtr_upgrade.<name>.current_version does that, after DTR and in the same apply; it knows the version, and this warning does not.",
					bootstrap.CacheImage("", "", r.o.Target)))
		}
	}
	var api *dtr.APIError
	scan, err := r.cluster.DTR.ScanStatus(ctx)
	switch {
	case errors.As(err, &api) && api.Code == dtr.CodeScanningNotEnabled:
	case err != nil:
		tflog.Warn(ctx, "The state of the vulnerability database could not be read", map[string]any{"error": err.Error()})
	case scan.DBUpdatedAt.Before(r.report.StartedAt):
		warn(FollowUpVulnerabilityDatabase, "The vulnerability database is older than the upgrade",
			fmt.Sprintf("It was updated at %s, before this upgrade began.", scan.DBUpdatedAt.UTC().Format(time.RFC3339)),
			"A dtr_vulnerability_database whose dtr_version is this resource's current_version downloads it again now. "+
				"Without one, download it under System > Security in DTR's web interface, or by a PUT to /api/v0/imagescan/scan/update?online=true.")
	}
	if limit := r.o.MaxInterruption; limit > 0 && r.report.LongestInterruption > limit {
		warn(FollowUpInterruption, "The upgrade interrupted DTR for longer than expected",
			fmt.Sprintf("DTR's address did not answer well for %s; max_interruption is %s.\nFailed probes: %d of %d",
				r.report.LongestInterruption.Round(time.Millisecond), limit, r.report.FailedProbes, r.report.Probes),
			"Check that the load balancer in front of DTR takes a replica out while its /_ping fails.")
	}
}
