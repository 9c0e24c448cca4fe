package cluster

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// Labels of the provider's own containers. With them a later run recognises what
// an earlier one started.
const (
	LabelCluster  = "com.github.dtr-upgrade.cluster"
	LabelFrom     = "com.github.dtr-upgrade.from"
	LabelTo       = "com.github.dtr-upgrade.to"
	LabelStart    = "com.github.dtr-upgrade.path-from" // the version that the first hop of the way began with
	LabelProvider = "com.github.dtr-upgrade.provider-version"
	LabelBackup   = "com.github.dtr-upgrade.backup"  // the file that a backup is written to
	LabelCommand  = "com.github.dtr-upgrade.command" // of a join, a removal or a backup; an upgrade has none
	LabelReplica  = "com.github.dtr-upgrade.replica" // that joins or leaves
	LabelNode     = "com.github.dtr-upgrade.node"    // that it joins on
	LabelNonce    = "com.github.dtr-upgrade.nonce"   // of one request to create a container: tells whose that is
	LabelHolds    = "com.github.dtr-upgrade.holds"   // of a bootstrapper on another engine, and of what stands in for it in UCP
	LabelEngine   = "com.github.dtr-upgrade.engine"  // that has the bootstrapper which a lock stands in for
	LabelPurpose  = "com.github.dtr-upgrade.purpose" // of the bootstrapper that a lock stands in for
)

// The bootstrapper's commands, as values of LabelCommand.
const (
	CommandJoin   = "join"
	CommandRemove = "remove"
	CommandBackup = "backup"
	// CommandLock is of a container that is never started: its name alone counts.
	CommandLock = "lock"
)

// Phase2Name is the name of the container in which the bootstrapper's second
// phase runs.
const Phase2Name = "dtr-phase2"

// The states of a container, in the Engine API's words, that decisions depend on.
const (
	StateCreated  = "created"
	StateRunning  = "running"
	StateRemoving = "removing"
)

var notInName = regexp.MustCompile(`[^a-zA-Z0-9_.-]+`)

// ContainerName is the fixed name of a cluster's bootstrapper container, whatever it is
// for, be it a backup: an engine refuses a second container of the same name, and so a
// second run.
func ContainerName(host string) string { return "dtr-upgrade-" + FileName(host) }

// ElsewhereName is the name in UCP of the container that stands in for a bootstrapper on
// another engine, which UCP need not show and whose names are its own.
func ElsewhereName(host string) string { return ContainerName(host) + "-elsewhere" }

// EarlierName is the name of a bootstrapper's container that has ended and is kept for
// its labels.
func EarlierName(host string) string { return ContainerName(host) + "-earlier" }

// RecordName is the name of the container of a join that has ended and is kept: it alone
// tells who made the replica.
func RecordName(host, replicaID string) string { return ContainerName(host) + "-" + replicaID }

// FileName is a host in the characters that names of containers and files allow.
func FileName(host string) string { return notInName.ReplaceAllString(host, "-") }

// BaseName is a container's name without the node that UCP puts before it.
func BaseName(name string) string {
	return name[strings.LastIndexByte(name, '/')+1:]
}

// isBootstrapper reports whether the container is the bootstrapper in any of its
// commands, or the second phase of one. Its image may be from the mirror.
func isBootstrapper(c ucp.Container, mirror string) bool {
	if IsPhase2(c) || c.Labels[LabelCluster] != "" {
		return true
	}
	repository, _ := ParseImage(c.Image)
	return bootstrap.IsBootstrapper(repository, mirror, c.Command)
}

var (
	// dtrPattern is in the names of replicas' containers and of second phases, in images
	// of repositories that end in dtr, and in LabelCluster.
	dtrPattern = regexp.MustCompile(`dtr(?:-[a-z-]+-[0-9a-f]{12}|-phase2|[:@"]|-upgrade\.cluster)`)
	// flagPattern is in the command lines that make a container a bootstrapper, whatever
	// its image.
	flagPattern = regexp.MustCompile(`--(?:ucp-|existing-replica-id)`)
)

// patterns are such that one of them matches the JSON text that an engine gives of a
// container, if that is a replica's or isBootstrapper.
func patterns(mirror string) []*regexp.Regexp {
	all := []*regexp.Regexp{dtrPattern, flagPattern}
	if mirror != "" {
		all = append(all, regexp.MustCompile(regexp.QuoteMeta(mirror)))
	}
	return all
}

// IsPhase2 reports whether the container is a bootstrapper's second phase.
func IsPhase2(c ucp.Container) bool { return BaseName(c.Name) == Phase2Name }

// IsOurs reports whether this provider started the container to run the bootstrapper
// on the cluster.
func IsOurs(c ucp.Container, host string) bool {
	return c.Labels[LabelCluster] == host && BaseName(c.Name) == ContainerName(host)
}

// IsBackup reports whether the labels, which are those of a container of this
// provider, say that it was made to write a backup, which changes nothing on the
// cluster.
func IsBackup(labels map[string]string) bool { return labels[LabelCommand] == CommandBackup }

// BackupRecordName is the name of the container that has written the backup with
// the SHA-256 sum: a label cannot be added to a container, so its name tells which
// file is the one that it wrote.
func BackupRecordName(host, sum string) string { return "dtr-backup-" + FileName(host) + "-" + sum }

// BackupUploadedName is BackupRecordName once that backup is in the store that it was to
// be sent to.
func BackupUploadedName(host, sum string) string { return BackupRecordName(host, sum) + uploadedSuffix }

const uploadedSuffix = "-uploaded"

// IsUploaded reports whether the name of a container says that its backup is in a store.
func IsUploaded(name string) bool { return strings.HasSuffix(name, uploadedSuffix) }

// BackupSum reads the sum off the name of a container, "" for one that has not
// written a backup.
func BackupSum(name, host string) string {
	sum, ok := strings.CutPrefix(BaseName(name), BackupRecordName(host, ""))
	sum = strings.TrimSuffix(sum, uploadedSuffix)
	if !ok || !sha256Sum.MatchString(sum) {
		return ""
	}
	return sum
}

var sha256Sum = regexp.MustCompile(`^[0-9a-f]{64}$`)

// LabelsHold reports whether a container was made for what its labels say, by its image
// and its arguments. Whoever may create containers can give them any label.
func LabelsHold(c ucp.ContainerState, mirror string) bool {
	if c.Labels[LabelCommand] == CommandLock {
		return c.Status == StateCreated
	}
	return labelsHold(c.Image, c.Args, c.Labels, mirror)
}

// Holds is LabelsHold for an entry of the list of containers. It must be labelled as
// one of the cluster with the host, too, and have a name that this provider gives such.
func Holds(c ucp.Container, host, mirror string) bool {
	named := false
	switch BaseName(c.Name) {
	case ContainerName(host), EarlierName(host), RecordName(host, c.Labels[LabelReplica]):
		named = true
	}
	return (named || BackupSum(c.Name, host) != "") && c.Labels[LabelCluster] == host &&
		labelsHold(c.Image, bootstrap.Arguments(c.Command), c.Labels, mirror)
}

func labelsHold(image string, args []string, labels map[string]string, mirror string) bool {
	repository, tag := ParseImage(image)
	version := LabelledVersion(labels, LabelTo)
	if labels[LabelCommand] == CommandBackup {
		version = LabelledVersion(labels, LabelFrom) // the version that runs takes it
	}
	if !bootstrap.IsImage(repository, mirror) || version != nil && tag != "" && tag != version.String() {
		return false
	}
	switch command := labels[LabelCommand]; command {
	case "":
		return bootstrap.IsCommand(args, "upgrade")
	case CommandJoin:
		return bootstrap.IsJoin(args, labels[LabelReplica], labels[LabelNode])
	case CommandRemove:
		return bootstrap.IsRemoval(args, labels[LabelReplica])
	default:
		return bootstrap.IsCommand(args, command)
	}
}

// clockSkew is how far the clocks of the nodes may be apart.
const clockSkew = 5 * time.Minute

// addBootstrapper adds a container that is a bootstrapper, or has the name of this
// provider's own. Its labels stay only if all that the cluster shows agrees with them:
// whatever reads them later need not ask again.
func (i *Inventory) addBootstrapper(c ucp.Container, from Cluster) {
	// One that was ever started is none, whatever its labels say.
	if c.Labels[LabelCluster] == i.Host && c.Labels[LabelCommand] == CommandLock && c.State == StateCreated && BaseName(c.Name) == ElsewhereName(i.Host) {
		i.Elsewhere = &c
		return
	}
	ours := Holds(c, i.Host, from.Mirror) && i.placed(c, from)
	if ours && !i.couldHaveMade(c) {
		ours = false
		i.doubted[c.ID] = c.Labels
	}
	if c.Labels[LabelCluster] != "" && !ours {
		c.Labels = nil
		i.disowned = append(i.disowned, c.ID)
	}
	if isBootstrapper(c, from.Mirror) || BaseName(c.Name) == ContainerName(i.Host) {
		i.Bootstrappers = append(i.Bootstrappers, c)
	}
}

// placed reports whether a container is where this provider has UCP place its own: on
// the node of a replica, where UCP need not let every user run containers. If another
// engine runs the bootstrapper, that can be any of UCP's nodes, and so it can while a
// replica is not shown.
func (i *Inventory) placed(c ucp.Container, from Cluster) bool {
	if slices.ContainsFunc(i.Replicas, func(r Replica) bool { return len(r.Containers) == 0 }) {
		return true
	}
	onNode := func(r Replica) bool { return r.Node == c.Node }
	return c.Node == "" || from.Docker != nil || slices.ContainsFunc(i.Replicas, onNode) || slices.ContainsFunc(i.Unlisted, onNode)
}

// couldHaveMade reports whether the replica that a join is said to have made can be of
// it: none of its containers was there before.
func (i *Inventory) couldHaveMade(c ucp.Container) bool {
	made, found := i.Replica(c.Labels[LabelReplica])
	if !found || !IsRecord(c.Labels) || c.Created.IsZero() {
		return true
	}
	for _, part := range made.Containers {
		if !part.Created.IsZero() && part.Created.Add(clockSkew).Before(c.Created) {
			return false
		}
	}
	return true
}

// checkJoins takes the labels from joins of replicas that were there before them, and
// from no others. An upgrade makes a replica's containers anew, but keeps its volumes. A
// UCP that does not tell how old these are says nothing against a join. Where the times
// speak against one, the clocks of the two nodes are asked how far they are apart.
func (i *Inventory) checkJoins(ctx context.Context, c Cluster) error {
	for n := range i.Bootstrappers {
		join := i.Bootstrappers[n]
		if labels, doubted := i.doubted[join.ID]; doubted {
			join.Labels = labels
		}
		replica, found := i.Replica(join.Labels[LabelReplica])
		if !found || !IsRecord(join.Labels) || join.Created.IsZero() {
			continue
		}
		engine, err := c.UCP.Engine(ctx)
		if err != nil {
			return err
		}
		made, err := engine.VolumesCreated(ctx, bootstrap.DatabaseVolume(replica.ID))
		if err != nil && (ctx.Err() != nil || wait.IsOutage(err)) {
			return err
		}
		for _, part := range replica.Containers {
			made = append(made, part.Created)
		}
		before := func(ahead time.Duration) bool {
			return slices.ContainsFunc(made, func(t time.Time) bool { return !t.IsZero() && t.Add(ahead+clockSkew).Before(join.Created) })
		}
		forged := before(0)
		if forged {
			forged = before(c.clockAhead(ctx, join, replica))
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		i.disowned = slices.DeleteFunc(i.disowned, func(id string) bool { return id == join.ID })
		if forged {
			join.Labels = nil
			i.disowned = append(i.disowned, join.ID)
		}
		i.Bootstrappers[n] = join
	}
	return nil
}

// clockAhead is how far the clock of the join's node is ahead of that of the replica's,
// zero if one of their engines does not tell.
func (c Cluster) clockAhead(ctx context.Context, join ucp.Container, replica Replica) time.Duration {
	asked := time.Now()
	joins := c.nodeTime(ctx, join.ID)
	for _, part := range replica.Containers {
		if part.Node != replica.Node || part.HostDown || joins.IsZero() {
			continue
		}
		if replicas := c.nodeTime(ctx, part.ID); !replicas.IsZero() {
			return joins.Add(time.Since(asked)).Sub(replicas)
		}
		break
	}
	return 0
}

// nodeTime is the time by the clock of the container's node, which comes with its log;
// zero if its engine does not tell.
func (c Cluster) nodeTime(ctx context.Context, id string) time.Time {
	for _, engine := range []func(context.Context) (*ucp.Engine, error){c.UCP.Engine, c.BootstrapEngine} {
		if e, err := engine(ctx); err == nil {
			if log, err := e.Logs(ctx, id, nil, false); err == nil {
				_ = log.Close()
				return log.Now
			}
		}
	}
	return time.Time{}
}

// Predates reports whether a container that was created then was there before the newest
// of the replicas' containers, and so may have made that.
func (i *Inventory) Predates(created time.Time) bool {
	var newest time.Time
	for _, r := range i.Replicas {
		if t := r.Newest(); t.After(newest) {
			newest = t
		}
	}
	return !created.After(newest.Add(clockSkew))
}

// Disowned reports whether a container has labels of this provider that something else
// speaks against.
func (i *Inventory) Disowned(id string) bool { return slices.Contains(i.disowned, id) }

// IsUpgrade reports whether the labels, which are those of a container of this
// provider, say that it was made for an upgrade.
func IsUpgrade(labels map[string]string) bool { return labels[LabelCommand] == "" }

// IsRecord reports whether a container with the labels must be kept after it has
// ended: it alone tells that its replica was created by this provider.
func IsRecord(labels map[string]string) bool { return labels[LabelCommand] == CommandJoin }

// Purpose says in a few words what a container of this provider with the labels was
// made for; for an upgrade it is the target version alone.
func Purpose(labels map[string]string) string {
	switch labels[LabelCommand] {
	case CommandJoin:
		return fmt.Sprintf("replica %s joins on node %s", labels[LabelReplica], labels[LabelNode])
	case CommandRemove:
		return fmt.Sprintf("replica %s is removed", labels[LabelReplica])
	case CommandBackup:
		return "a backup is written to " + labels[LabelBackup]
	case CommandLock:
		return labels[LabelPurpose]
	}
	return labels[LabelTo]
}

// LabelledVersion reads LabelFrom or LabelTo; nil if that is no version.
func LabelledVersion(labels map[string]string, label string) *semver.Version {
	v, err := semver.StrictNewVersion(labels[label])
	if err != nil {
		return nil
	}
	return v
}

// UpgradeContainer returns the container of this provider's upgrade of the cluster.
// There can be two if the provider was configured with another engine meanwhile; then
// the one that runs is returned. Where there is none, one that was to make room for it
// tells the same.
func (i *Inventory) UpgradeContainer() (ucp.Container, bool) {
	if c, found := i.ours(func(c ucp.Container) bool { return IsOurs(c, i.Host) && IsUpgrade(c.Labels) }); found {
		return c, true
	}
	return i.ours(func(c ucp.Container) bool {
		return c.Labels[LabelCluster] == i.Host && BaseName(c.Name) == EarlierName(i.Host) && IsUpgrade(c.Labels)
	})
}

// BackupContainer returns the container in which this provider takes a backup, or in
// which one was broken off.
func (i *Inventory) BackupContainer() (ucp.Container, bool) {
	return i.ours(func(c ucp.Container) bool { return IsOurs(c, i.Host) && IsBackup(c.Labels) })
}

// BackupRecord returns the container that has written a backup, and is kept to tell of
// it.
func (i *Inventory) BackupRecord() (ucp.Container, bool) {
	return i.ours(func(c ucp.Container) bool { return c.Labels[LabelCluster] == i.Host && BackupSum(c.Name, i.Host) != "" })
}

// MembershipChange returns the container of this provider's join or removal, which
// runs, or has ended and was not verified yet.
func (i *Inventory) MembershipChange() (ucp.Container, bool) {
	return i.ours(func(c ucp.Container) bool {
		return IsOurs(c, i.Host) && !IsUpgrade(c.Labels) && !IsBackup(c.Labels) && c.State != StateCreated
	})
}

// HiddenElsewhere reports whether a bootstrapper of this provider is on an engine that the
// inventory shows nothing of.
func (i *Inventory) HiddenElsewhere() bool {
	return i.Elsewhere != nil && !slices.ContainsFunc(i.Bootstrappers, func(c ucp.Container) bool {
		return c.Labels[LabelHolds] != "" && c.Labels[LabelHolds] == i.Elsewhere.Labels[LabelHolds]
	})
}

func (i *Inventory) ours(match func(ucp.Container) bool) (ucp.Container, bool) {
	ours := slices.DeleteFunc(slices.Clone(i.Bootstrappers), func(c ucp.Container) bool { return !match(c) })
	if len(ours) == 0 {
		return ucp.Container{}, false
	}
	return ours[max(0, slices.IndexFunc(ours, ucp.Container.Running))], true
}

// addBootstrappers adds the bootstrappers among the containers of an engine that
// UCP does not show: that engine need not be one of UCP's.
func (i *Inventory) addBootstrappers(containers []ucp.Container, from Cluster) {
	for _, c := range containers {
		known := slices.ContainsFunc(i.Bootstrappers, func(b ucp.Container) bool { return b.ID == c.ID })
		if !known {
			i.addBootstrapper(c, from)
		}
	}
}

// Foreign returns the bootstrappers that run and that this provider did not start for
// this cluster. A second phase has none of the provider's labels, so the caller says
// whether it belongs to this provider; it does if the first phase is on another engine.
func (i *Inventory) Foreign(phase2IsOurs bool) []ucp.Container {
	phase2IsOurs = phase2IsOurs || i.Elsewhere != nil
	return slices.DeleteFunc(slices.Clone(i.Bootstrappers), func(c ucp.Container) bool {
		return !c.Running() || IsOurs(c, i.Host) || phase2IsOurs && IsPhase2(c)
	})
}

// Lost are the bootstrappers that were at work, this provider's among them, when
// UCP last reached their node, which is down: they may still be.
func (i *Inventory) Lost() []ucp.Container {
	return slices.DeleteFunc(slices.Clone(i.Bootstrappers), func(c ucp.Container) bool { return !c.Lost() })
}
