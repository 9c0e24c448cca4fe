package upgrade

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// imagesNotNeeded reports whether the hop's bootstrapper runs or has done its work
// already.
func (r *run) imagesNotNeeded(hop transition.Hop) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		atWork := false
		err := runner.Outlast(ctx, r.runner.Pace, func(ctx context.Context) error {
			c, found, err := r.runner.Find(ctx)
			atWork = err == nil && found && isForHop(c.Labels, hop) && c.Running()
			return err
		})
		if err != nil || atWork {
			return atWork, err
		}
		return r.upgraded(hop)(ctx)
	}
}

// bringImages brings the images of a hop to where they are needed, and touches
// nothing else.
func (r *run) bringImages(ctx context.Context, obs *Observation, hop transition.Hop) error {
	source, pace := r.o.Images, r.runner.Pace
	err := source.BringComponents(ctx, r.cluster, pace, obs.ReplicaNodes(), hop.To)
	if failed, ok := errors.AsType[*images.BringError](err); ok && failed.Archive == "" && r.o.SkipChecks[preflight.Image] {
		log.Warn(ctx, "Images could not be pulled, and the check of images is skipped", map[string]any{"error": err.Error()})
		err = nil
	}
	if err != nil {
		return err
	}
	return source.BringBootstrapper(ctx, r.cluster, pace, r.bootstrapNode(obs), hop.To)
}

// bootstrapNode is the node that runs the bootstrapper, "" for an engine outside
// UCP.
func (r *run) bootstrapNode(obs *Observation) string {
	replica, _ := obs.ExistingReplica(r.o.ExistingReplicaID)
	return r.cluster.BootstrapNode(replica)
}

// checkImage looks at the image of a container of the bootstrapper of a version.
func (r *run) checkImage(obs *Observation, version *semver.Version) func(context.Context, runner.Container) error {
	return func(ctx context.Context, c runner.Container) error {
		return r.o.Images.CheckContainer(ctx, r.cluster, c.ID, r.bootstrapNode(obs), version)
	}
}

// checkArchives reads the archives of all hops whose images are not all there yet:
// that the last of them is the wrong one must not be found after the first hop.
func (r *run) checkArchives(ctx context.Context, obs *Observation, plan Plan) error {
	var findings preflight.Findings
	for _, hop := range plan.Hops {
		if ours, found := obs.UpgradeContainer(); found && ours.Running() && isForHop(ours.Labels, hop) {
			continue // the run only waits for it
		}
		version := hop.To.String()
		name := r.o.Images.Archives[version]
		if name == "" || len(obs.Images.Missing(hop.To, obs.ReplicaNodes())) == 0 {
			continue
		}
		tags, err := images.ArchiveTags(ctx, name)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			findings = append(findings, archiveFinding(version, name, preflight.Sentence(err), archiveAdvice))
			continue
		}
		missing := slices.DeleteFunc(r.o.Images.All(hop.To), func(image string) bool { return tags[image] })
		if len(missing) > 0 {
			f := archiveFinding(version, name,
				fmt.Sprintf("%s\nIt holds: %s", r.o.missingLines(hop.To, missing), strings.Join(slices.Sorted(maps.Keys(tags)), ", ")),
				"Name the archive of this version.")
			if other := images.RepositoryAmong(tags, hop.To); other != "" {
				f.Todo = "It holds the images of this version, from another repository."
				f.Advice = []preflight.Advice{{Kind: preflight.UseRepository, Value: other}}
			}
			findings = append(findings, f)
		}
	}
	if len(findings) > 0 {
		return &preflight.FailedError{Findings: findings}
	}
	return nil
}
