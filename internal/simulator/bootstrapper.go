package simulator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/clock"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// Environment that an image of the bootstrapper brings with it. The repository
// is where it takes the images of the components from.
const (
	envImageRepository = "DTR_IMAGE_REPOSITORY" // "docker/dtr"
	envImageVersion    = "DTR_IMAGE_VERSION"
	envSpeed           = "SIMULATOR_SPEED"
	envFaults          = "SIMULATOR_FAULTS" // BootstrapperFaults in JSON
)

// phase2Command is what the second phase runs as; it is no command of users.
const phase2Command = "phase2"

// hooks tie bootstrappers that run in this process to their cluster.
type hooks struct {
	faults func() BootstrapperFaults
	reach  func(ctx context.Context, point string)
}

type hooksKey struct{}

func withHooks(ctx context.Context, h hooks) context.Context {
	return context.WithValue(ctx, hooksKey{}, h)
}

// hooksOf is what a bootstrapper in an image of its own has: nobody but the
// image tells it how to go wrong.
func hooksOf(ctx context.Context, imageFaults string) (hooks, error) {
	if h, ok := ctx.Value(hooksKey{}).(hooks); ok {
		return h, nil
	}
	var faults BootstrapperFaults
	if imageFaults != "" {
		if err := json.Unmarshal([]byte(imageFaults), &faults); err != nil {
			return hooks{}, fmt.Errorf("%s: %w", envFaults, err)
		}
	}
	return hooks{
		faults: func() BootstrapperFaults { return faults },
		reach:  func(context.Context, string) {},
	}, nil
}

// bootstrapper is one run of one phase.
type bootstrapper struct {
	hooks
	clock      clock.Clock
	version    *semver.Version
	repository string
	command    string // of both phases
	options    options
	log        records
	docker     *client.Client
}

// Bootstrapper is the program of the docker/dtr image: "upgrade" replaces the
// containers of every replica, "join" makes those of another one, "remove" takes
// those of one away, "images" lists what that takes, "backup" writes an archive to
// standard output. It reaches the cluster through UCP's Docker API alone. The
// result is the exit status.
func Bootstrapper(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	vars := map[string]string{}
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		vars[k] = v
	}
	version, err := semver.StrictNewVersion(vars[envImageVersion])
	if err != nil {
		fmt.Fprintf(stdout, "%s is not set to a version: %v\n", envImageVersion, err)
		return 1
	}
	speed, _ := strconv.ParseFloat(vars[envSpeed], 64)
	tied, err := hooksOf(ctx, vars[envFaults])
	if err != nil {
		fmt.Fprintln(stdout, err)
		return 1
	}
	b := &bootstrapper{
		hooks: tied, clock: clock.Clock(cmp.Or(speed, 1)), version: version,
		repository: cmp.Or(vars[envImageRepository], release.Repository(version)),
	}
	if b.faults().Silent {
		stdout, stderr = io.Discard, io.Discard
	}
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	b.command = command
	if command == phase2Command && len(args) > 0 {
		b.command, args = args[0], args[1:]
	}
	switch {
	case command == "--version" && knowsVersionFlag(version):
		fmt.Fprintf(stdout, "dtr version %s\n", version)
		return 0
	case command == "images" && len(args) == 0:
		fmt.Fprintln(stdout, strings.Join(release.Bundle(b.repository, version.String()), "\n"))
		return 0
	case command == commandBackup:
		if b.options, err = parseFlags(command, version, args, vars); err != nil {
			fmt.Fprintf(stderr, "Incorrect Usage: %v\n", err)
			return 1
		}
		b.log = records{out: stderr, debug: b.options.debug} // standard output is the archive's
		return b.runBackup(ctx, stdout)
	case slices.Contains(commands, b.command):
	default:
		fmt.Fprintf(stdout, "No help topic for '%s'\n", strings.Join(append([]string{command}, args...), " "))
		return 1
	}
	if b.options, err = parseFlags(b.command, version, args, vars); err != nil {
		fmt.Fprintf(stdout, "Incorrect Usage: %v\n", err)
		return 1
	}
	b.log = records{out: stdout, debug: b.options.debug}
	if command == phase2Command {
		return b.runPhase2(ctx)
	}
	return b.runPhase1(ctx)
}

// runPhase1 carries phase 1 out and lies about it if it is told to.
func (b *bootstrapper) runPhase1(ctx context.Context) (status int) {
	b.reach(ctx, BootstrapperStarted)
	if n := b.faults().LongLine; n > 0 {
		b.log.info(strings.Repeat("x", n))
	}
	err := b.phase1(ctx)
	faults := b.faults()
	switch {
	case faults.ClaimSuccess && err != nil:
		b.log.info("Successfully registered dtr with UCP")
	case err != nil:
		status = 1
		b.fatal(cmp.Or(faults.FatalRecord, err.Error()))
	case faults.FatalRecord != "":
		b.fatal(faults.FatalRecord)
	}
	if faults.Unfinished {
		fmt.Fprint(b.log.out, "the last words of the bootstrapper")
	}
	b.reach(ctx, BootstrapperFinished)
	if faults.ExitStatus != nil {
		return *faults.ExitStatus
	}
	return status
}

func (b *bootstrapper) fatal(message string) {
	if b.command == commandUpgrade {
		b.log.write("error", "Upgrade has failed. Try running it again.")
	}
	b.log.write("fatal", message)
}

// phase1 looks at UCP and the cluster, and has phase 2 do the work.
func (b *bootstrapper) phase1(ctx context.Context) error {
	if err := b.connect(ctx); err != nil {
		return err
	}
	defer b.docker.Close()
	replicas, existing, err := b.pick(ctx)
	if err != nil {
		return err
	}
	nodes, err := b.check(ctx, replicas)
	if err != nil {
		return err
	}
	if err := b.clearPhase2(ctx); err != nil {
		return err
	}
	if b.faults().DieAtReplica < 0 {
		return errors.New("Failed to execute phase2: Phase 2 returned non-zero status: 1")
	}
	if err := b.ensureImages(ctx, append(nodes, existing.node)); err != nil {
		return err
	}
	b.log.info("Connecting to network: " + release.OverlayNetwork)
	if _, err := b.docker.NetworkInspect(ctx, release.OverlayNetwork, client.NetworkInspectOptions{}); err != nil {
		return fmt.Errorf("Failed to connect to network %s: %w", release.OverlayNetwork, err)
	}
	status, err := b.executePhase2(ctx, existing.node)
	if err != nil {
		return fmt.Errorf("Failed to execute phase2: %w", err)
	}
	if status != 0 {
		return fmt.Errorf("Failed to execute phase2: Phase 2 returned non-zero status: %d", status)
	}
	return nil
}

// pick lists the replicas, and finds the one that the options name.
func (b *bootstrapper) pick(ctx context.Context) (replicas []replica, existing replica, err error) {
	b.log.info("Searching containers in UCP for DTR replicas")
	if replicas, err = b.replicas(ctx); err != nil {
		return nil, replica{}, err
	}
	i := slices.IndexFunc(replicas, func(r replica) bool { return r.id == b.options.existing })
	if i < 0 {
		return nil, replica{}, fmt.Errorf("Failed to pick existing replica: no replica %q in UCP", b.options.existing)
	}
	return replicas, replicas[i], nil
}

// check refuses what the command cannot be done on. It returns the nodes that the
// work is to be done on.
func (b *bootstrapper) check(ctx context.Context, replicas []replica) (nodes []string, err error) {
	switch b.command {
	case commandJoin:
		return []string{b.options.node}, b.checkJoin(ctx, replicas)
	case commandRemove:
		return nil, b.checkRemove(replicas)
	}
	for _, r := range replicas {
		nodes = append(nodes, r.node)
	}
	return nodes, b.checkVersions(replicas)
}

// checkVersions refuses what DTR cannot upgrade from: anything newer, and
// anything more than one minor or major version older.
func (b *bootstrapper) checkVersions(replicas []replica) error {
	for _, r := range replicas {
		for _, v := range r.versions() {
			var reason string
			switch to := b.version; {
			case v.GreaterThan(to):
				reason = "downgrading is not supported"
			case to.Major() > v.Major()+1, to.Major() == v.Major()+1 && (to.Minor() != 0 || to.Patch() != 0),
				to.Major() == v.Major() && to.Minor() > v.Minor()+1:
				reason = "versions in between cannot be skipped"
			default:
				continue
			}
			return fmt.Errorf("Replica %s runs %s and cannot be upgraded to %s: %s", r.id, v, b.version, reason)
		}
	}
	return nil
}

// clearPhase2 refuses to run beside another upgrade, and removes what is left
// of one that was killed.
func (b *bootstrapper) clearPhase2(ctx context.Context) error {
	found, err := b.docker.ContainerInspect(ctx, phase2Name, client.ContainerInspectOptions{})
	switch {
	case isNotFound(err):
		return nil
	case err != nil:
		return err
	case found.Container.State.Running:
		return fmt.Errorf("Failed to execute phase2: container %s is already running", phase2Name)
	}
	_, err = b.docker.ContainerRemove(ctx, found.Container.ID, client.ContainerRemoveOptions{RemoveVolumes: true})
	return err
}

// ensureImages has the nodes pull what they lack.
func (b *bootstrapper) ensureImages(ctx context.Context, nodes []string) error {
	if b.options.noImageCheck {
		return nil
	}
	missing := map[string]bool{}
	for _, node := range nodes {
		onNode, err := b.docker.ImageList(ctx, client.ImageListOptions{Filters: client.Filters{}.Add("node", node)})
		if err != nil {
			return err
		}
		present := map[string]bool{}
		for _, img := range onNode.Items {
			for _, ref := range img.RepoTags {
				present[ref] = true
			}
		}
		for _, ref := range append(b.componentRefs(), b.repository+":"+b.version.String()) {
			if !present[ref] {
				missing[ref] = true
			}
		}
	}
	for _, ref := range slices.Sorted(maps.Keys(missing)) {
		b.log.debugf("pulling %s", ref)
		pull, err := b.docker.ImagePull(ctx, ref, client.ImagePullOptions{})
		if err == nil {
			err = pull.Wait(ctx)
		}
		if err != nil {
			return fmt.Errorf("Failed to pull image %s: %w", ref, err)
		}
	}
	return nil
}

func (b *bootstrapper) componentRefs() []string {
	var refs []string
	for _, p := range release.Parts {
		refs = append(refs, p.Image(b.repository, b.version.String()))
	}
	return refs
}

// executePhase2 runs the second phase on a node, relays what it writes, and
// returns its exit status.
func (b *bootstrapper) executePhase2(ctx context.Context, node string) (status int, err error) {
	created, err := b.docker.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: phase2Name,
		Config: &container.Config{
			Image:  b.repository + ":" + b.version.String(),
			Cmd:    []string{phase2Command, b.command},
			Env:    append(b.options.env(), "constraint:node=="+node),
			Labels: b.phase2Labels(),
		},
		HostConfig: &container.HostConfig{NetworkMode: release.OverlayNetwork},
	})
	if err != nil {
		return 0, err
	}
	if _, err := b.docker.ContainerStart(ctx, created.ID, client.ContainerStartOptions{}); err != nil {
		return 0, err
	}
	b.log.info("Waiting for phase2 container to be known to the Docker daemon")
	logs, err := b.docker.ContainerLogs(ctx, created.ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
	if err != nil {
		return 0, err
	}
	_, err = stdcopy.StdCopy(b.log.out, b.log.out, logs)
	_ = logs.Close()
	if err != nil {
		return 0, err
	}
	for {
		found, err := b.docker.ContainerInspect(ctx, created.ID, client.ContainerInspectOptions{})
		if err != nil {
			return 0, err
		}
		if !found.Container.State.Running {
			status = found.Container.State.ExitCode
			break
		}
		if err := b.clock.Pause(ctx, pollInterval); err != nil {
			return 0, err
		}
	}
	_, err = b.docker.ContainerRemove(ctx, created.ID, client.ContainerRemoveOptions{RemoveVolumes: true})
	return status, err
}
