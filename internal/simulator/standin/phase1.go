package standin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// Phase2Name is the container of the second phase.
const Phase2Name = "dtr-phase2"

// phase2Command is what the second phase runs as; it is no command of users.
const phase2Command = "phase2"

// LabelRemoves on the container of phase 2 names the replica that it removes. The
// label is this simulation's own: its DTR sees containers alone, where the real
// second phase tells the database.
const LabelRemoves = "com.docker.dtr.removes"

// LabelUnlisted on a container says that its replica is not in the database. It too
// is this simulation's own.
const LabelUnlisted = "com.docker.dtr.unlisted"

// phase1 runs in the container that a user starts: it checks the cluster, has
// the nodes pull images, and runs phase 2 on the existing replica's node.
type phase1 struct{ *bootstrapper }

// run executes phase 1, and misreports the outcome where the faults say so.
func (p phase1) run(ctx context.Context) (status int) {
	p.reach(ctx, Started)
	if n := p.faults().LongLine; n > 0 {
		p.log.info(strings.Repeat("x", n))
	}
	err := p.execute(ctx)
	faults := p.faults()
	switch {
	case faults.ClaimSuccess && err != nil:
		p.log.info("Successfully registered dtr with UCP")
	case err != nil:
		status = 1
		p.fatal(cmp.Or(faults.FatalRecord, err.Error()))
	case faults.FatalRecord != "":
		p.fatal(faults.FatalRecord)
	}
	if faults.Unfinished {
		fmt.Fprint(p.log.out, "the last words of the bootstrapper")
	}
	p.reach(ctx, Finished)
	if faults.ExitStatus != nil {
		return *faults.ExitStatus
	}
	return status
}

func (p phase1) fatal(message string) {
	if p.command == CommandUpgrade {
		p.log.write("error", "Upgrade has failed. Try running it again.")
	}
	p.log.write("fatal", message)
}

// execute checks UCP and the cluster, and leaves the work to phase 2.
func (p phase1) execute(ctx context.Context) error {
	if err := p.connect(ctx); err != nil {
		return err
	}
	defer p.docker.Close()
	replicas, existing, err := p.pick(ctx)
	if err != nil {
		return err
	}
	nodes, err := checks(p).run(ctx, replicas)
	if err != nil {
		return err
	}
	if err := p.clearPhase2(ctx); err != nil {
		return err
	}
	if p.faults().DieAtReplica < 0 {
		return errors.New("Failed to execute phase2: Phase 2 returned non-zero status: 1")
	}
	if err := p.ensureImages(ctx, append(nodes, existing.node)); err != nil {
		return err
	}
	p.log.info("Connecting to network: " + release.OverlayNetwork)
	if _, err := p.docker.NetworkInspect(ctx, release.OverlayNetwork, client.NetworkInspectOptions{}); err != nil {
		return fmt.Errorf("Failed to connect to network %s: %w", release.OverlayNetwork, err)
	}
	status, err := p.executePhase2(ctx, existing.node)
	if err != nil {
		return fmt.Errorf("Failed to execute phase2: %w", err)
	}
	if status != 0 {
		return fmt.Errorf("Failed to execute phase2: Phase 2 returned non-zero status: %d", status)
	}
	return nil
}

// clearPhase2 refuses to run beside another upgrade, and removes what is left
// of one that was killed.
func (p phase1) clearPhase2(ctx context.Context) error {
	found, err := p.docker.ContainerInspect(ctx, Phase2Name, client.ContainerInspectOptions{})
	switch {
	case cerrdefs.IsNotFound(err):
		return nil
	case err != nil:
		return err
	case found.Container.State.Running:
		return fmt.Errorf("Failed to execute phase2: container %s is already running", Phase2Name)
	}
	_, err = p.docker.ContainerRemove(ctx, found.Container.ID, client.ContainerRemoveOptions{RemoveVolumes: true})
	return err
}

// ensureImages has the nodes pull the images that they lack.
func (p phase1) ensureImages(ctx context.Context, nodes []string) error {
	if p.options.noImageCheck {
		return nil
	}
	version := p.version.String()
	required := []string{p.repository + ":" + version}
	for _, part := range release.Parts {
		required = append(required, part.Image(p.repository, version))
	}
	missing, err := p.missing(ctx, nodes, required)
	if err != nil {
		return err
	}
	failed := map[string]error{}
	for _, ref := range missing {
		p.log.debugf("pulling %s", ref)
		pull, err := p.docker.ImagePull(ctx, ref, client.ImagePullOptions{})
		if err == nil {
			err = pull.Wait(ctx)
		}
		if err != nil {
			failed[ref] = err
		}
	}
	// UCP pulls on every node, and one that does not matter may have failed.
	missing, err = p.missing(ctx, nodes, slices.Sorted(maps.Keys(failed)))
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("Failed to pull image %s: %w", missing[0], failed[missing[0]])
	}
	return err
}

// missing are the images that one of the nodes lacks, in the order of their names.
func (p phase1) missing(ctx context.Context, nodes, required []string) ([]string, error) {
	missing := map[string]bool{}
	for _, node := range nodes {
		onNode, err := p.docker.ImageList(ctx, client.ImageListOptions{Filters: client.Filters{}.Add("node", node)})
		if err != nil {
			return nil, err
		}
		present := map[string]bool{}
		for _, img := range onNode.Items {
			for _, ref := range img.RepoTags {
				present[ref] = true
			}
		}
		for _, ref := range required {
			if !present[ref] {
				missing[ref] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(missing)), nil
}

// reaches reports whether UCP reaches the node of a replica. Of one that it does not
// reach, only a forced removal deletes anything from DTR's database.
func (p phase1) reaches(ctx context.Context, id string) bool {
	replicas, err := p.replicas(ctx)
	return err == nil && !slices.ContainsFunc(replicas, func(r replica) bool {
		return r.id == id && slices.ContainsFunc(slices.Collect(maps.Values(r.containers)), isLost)
	})
}

// executePhase2 runs the second phase on a node, relays what it writes, and
// returns its exit status.
func (p phase1) executePhase2(ctx context.Context, node string) (status int, err error) {
	var labels map[string]string
	if p.command == CommandRemove && (p.options.force || p.reaches(ctx, p.options.replica)) {
		labels = map[string]string{LabelRemoves: p.options.replica}
	}
	created, err := p.docker.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: Phase2Name,
		Config: &container.Config{
			Image:  p.repository + ":" + p.version.String(),
			Cmd:    []string{phase2Command, p.command},
			Env:    append(p.options.env(), "constraint:node=="+node),
			Labels: labels,
		},
		HostConfig: &container.HostConfig{NetworkMode: release.OverlayNetwork, LogConfig: container.LogConfig{Type: "json-file"}},
	})
	if err != nil {
		return 0, err
	}
	if _, err := p.docker.ContainerStart(ctx, created.ID, client.ContainerStartOptions{}); err != nil {
		return 0, err
	}
	p.log.info("Waiting for phase2 container to be known to the Docker daemon")
	logs, err := p.docker.ContainerLogs(ctx, created.ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
	if err != nil {
		return 0, err
	}
	_, err = stdcopy.StdCopy(p.log.out, p.log.out, logs)
	_ = logs.Close()
	if err != nil {
		return 0, err
	}
	for {
		found, err := p.docker.ContainerInspect(ctx, created.ID, client.ContainerInspectOptions{})
		if err != nil {
			return 0, err
		}
		if !found.Container.State.Running {
			status = found.Container.State.ExitCode
			break
		}
		if err := p.clock.Pause(ctx, pollInterval); err != nil {
			return 0, err
		}
	}
	_, err = p.docker.ContainerRemove(ctx, created.ID, client.ContainerRemoveOptions{RemoveVolumes: true})
	return status, err
}
