package upgrade

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/job"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// Description is a cluster as it is, for people to look at; nothing is judged.
type Description struct {
	*cluster.Snapshot

	Scan      *dtr.ScanStatus // nil while scanning is switched off, busy while the database is updated
	Caches    []dtr.ContentCache
	Version   ucp.Version
	Migration Migration
}

// Migration is where the metadata store's migration stands.
type Migration struct {
	State MigrationState
	Job   dtr.Job // the latest attempt; zero when DTR lists none
}

// MigrationState is a word for it.
type MigrationState string

// The states of the metadata store's migration.
const (
	MigrationPending MigrationState = "pending" // it belongs to the upgrade to 2.6, or DTR is about to start it
	MigrationRunning MigrationState = "running"
	MigrationDone    MigrationState = "done"
	MigrationFailed  MigrationState = "failed"  // DTR does not try again
	MigrationUnknown MigrationState = "unknown" // a status word that nobody published, or no trace of it
)

// Describe reads a cluster. The requests go out side by side.
func Describe(ctx context.Context, c cluster.Cluster) (*Description, error) {
	d := &Description{}
	var features dtr.Features
	var jobs []dtr.Job
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { // no bootstrapper is shown, so that its engine need not answer
		d.Snapshot, err = cluster.Look(ctx, cluster.Cluster{DTR: c.DTR, UCP: c.UCP})
		return err
	})
	group.Go(func() (err error) { features, err = c.DTR.Features(ctx); return err })
	group.Go(func() (err error) { d.Caches, err = c.DTR.Caches().List(ctx); return err })
	group.Go(func() (err error) {
		jobs, err = migration.Latest(ctx, c.DTR, migration.MetadataStore)
		return err
	})
	group.Go(func() error {
		scan, err := c.DTR.Database().Status(ctx)
		if api, ok := errors.AsType[*dtr.APIError](err); ok && api.Code == dtr.CodeScanningNotEnabled {
			return nil
		}
		d.Scan = &scan
		return err
	})
	group.Go(func() error {
		engine, err := c.UCP.Engine(ctx)
		if err != nil {
			return err
		}
		d.Version, err = engine.Version(ctx)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	obs := &Observation{Seen: migration.Seen{Snapshot: d.Snapshot, Features: features, Jobs: map[string][]dtr.Job{migration.MetadataStore: jobs}}}
	d.Migration = obs.migrationState()
	return d, nil
}

// migrationState judges the migration by its jobs, and by what is left of it once
// DTR has dropped them.
func (obs *Observation) migrationState() Migration {
	m, err := job.StateOf(obs.Jobs[migration.MetadataStore], "")
	state := Migration{State: MigrationUnknown, Job: m.Job}
	if err != nil {
		return state
	}
	switch m.Phase {
	case job.Running:
		state.State = MigrationRunning
	case job.Retrying:
		state.State = MigrationPending
	case job.Done:
		state.State = MigrationDone
	case job.GaveUp:
		state.State = MigrationFailed
	case job.Absent:
		current := obs.CurrentVersion()
		switch {
		case obs.Features.OnlineGCEnabled:
			state.State = MigrationDone
		case current != nil && (current.Major() < 2 || current.Major() == 2 && current.Minor() <= 6):
			state.State = MigrationPending
		}
	}
	return state
}

// Stale reports whether a replica has not reported its health for too long, measured
// by DTR's own clock. One that never has is.
func (d *Description) Stale(replica string) bool { return cluster.Stale(d.Status, replica) }

// Engine is the version of the engine on a node, "" when UCP does not show it.
func (d *Description) Engine(node string) string {
	for _, n := range d.Nodes {
		if n.Hostname == node {
			return n.EngineVersion
		}
	}
	return ""
}
