package upgrade

import (
	"context"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// steps are what a hop is made of.
func (r *run) steps(obs *Observation, hop transition.Hop) []wait.Step {
	b := r.backupStep(obs, hop)
	return []wait.Step{
		{Name: migration.Step, Done: nothingToAwait(obs, hop), Run: func(ctx context.Context) error { return r.migrations.Await(ctx, &obs.Seen, hop) }},
		{Name: StepBackup, Done: b.done, Run: b.run},
		{Name: images.Step, Done: r.imagesNotNeeded(hop), Run: func(ctx context.Context) error { return r.bringImages(ctx, obs, hop) }},
		{Name: stepUpgrade, Done: r.upgraded(hop), Run: func(ctx context.Context) error { return r.upgrade(ctx, obs, hop) }},
		{Name: cluster.StepVerify, Run: func(ctx context.Context) error { return r.verify(ctx, hop.To) }},
		{Name: migration.Step, Done: noMigration(hop), Run: func(ctx context.Context) error { return r.migrations.Migrate(ctx, hop) }},
		// A migration may take hours, in which much can happen to a replica.
		{Name: cluster.StepVerify, Done: r.verifiedJustNow, Run: func(ctx context.Context) error { return r.verify(ctx, hop.To) }},
		{Name: stepTidy, Run: func(ctx context.Context) error {
			return runner.Outlast(ctx, r.runner.Pace, func(ctx context.Context) error { return r.tidy(ctx, hop) })
		}},
	}
}

// nothingToAwait reports whether no migration other than the hop's own kept the hop from
// being begun when it was planned. A bootstrapper that was at work then is waited for
// whatever DTR's jobs are.
func nothingToAwait(obs *Observation, hop transition.Hop) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) {
		ours, found := obs.UpgradeContainer()
		pending := obs.PendingMigration()
		return found && ours.Running() || pending == nil || obs.OwnMigration(hop, pending.Action), nil
	}
}

// verifiedJustNow reports whether the cluster was seen whole no longer ago than containers
// have to be up for to be believed.
func (r *run) verifiedJustNow(context.Context) (bool, error) {
	return time.Since(r.verifiedAt) < r.runner.Pace.Steady, nil
}

// noMigration reports whether the hop has none.
func noMigration(hop transition.Hop) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) { return len(hop.MigrationJobs) == 0, nil }
}

// tidy removes the container, from each engine that has one: the hop is finished
// and its log has been read. With the last hop what tells of the backup goes
// first, so that it never outlives the upgrade.
func (r *run) tidy(ctx context.Context, hop transition.Hop) error {
	if hop.To.Equal(r.o.Target) {
		if err := r.tidyBackup(ctx); err != nil {
			return err
		}
	}
	if err := r.migrations.RemoveLock(ctx); err != nil {
		return err
	}
	if err := r.removeEnded(ctx, r.runner.EarlierName()); err != nil {
		return err
	}
	return r.removeEnded(ctx, r.runner.ContainerName())
}
