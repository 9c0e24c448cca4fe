package upgrade

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// Observation is all that preflight judges, read in one go.
type Observation struct {
	*Inventory

	At time.Time // by the clock of the options

	Status   dtr.ClusterStatus
	Features dtr.Features
	Jobs     map[string][]dtr.Job // migration jobs by action, newest first
	Nodes    []ucp.Node
	Version  ucp.Version // of the engine behind UCP, and of UCP

	ContentTrust    bool
	ContentTrustErr error // why it could not be read

	RunnerMemory int64 // bytes, of the engine that runs the bootstrapper; 0 when it runs through UCP
	// RunnerUse is what the running containers use of it, or of the memory of the node
	// that runs the bootstrapper through UCP; 0 when nothing is due, or none tells.
	RunnerUse int64
	Images    map[string]ImageState
	onRunner  map[string]bool // images on the engine that runs the bootstrapper

	Archives map[string]error // version to what speaks against its archive at first sight
	Backup   BackupFile
}

// ImageState is where an image is to be had from.
type ImageState struct {
	Present bool            // on the engine that runs the bootstrapper, for its image
	Nodes   map[string]bool // nodes that have it, for a component's image; nil when not asked
	Remote  error           // why the registry does not hand it out; nil when it does
}

// The job that the upgrade from 2.5 to 2.6 is followed by (upgrade documentation,
// "Metadata Store Migration").
const (
	metadataStoreMigration = "metadatastoremigration"
	metadataStoreVersion   = "2.6"
)

// migrationJobs are the jobs that move data from one minor version's form to the
// next one's, with the version that they lead to.
var migrationJobs = []struct{ action, leadsTo string }{
	{metadataStoreMigration, metadataStoreVersion},
	{"scannedlayermigration", "2.5"},
	{"tagmigration", "2.2"},
	{"bloblinkmigration", "2.2"},
}

// recentJobs bounds how far back jobs of one action are read. An upgrade makes a
// handful.
const recentJobs = 50

// Observe reads what preflight needs. The requests go out side by side: after
// the login to UCP nothing waits for anything else. Only an image that its
// registry does not hand out costs a second look, at the nodes. Errors: an
// *OtherClusterError, a *NoReplicasError, and those of the clients.
func Observe(parent context.Context, c Cluster, o Options) (*Observation, error) {
	obs := &Observation{At: o.now(), Jobs: map[string][]dtr.Job{}, Images: map[string]ImageState{}, Archives: map[string]error{}}
	obs.lookAtFiles(o)
	var mu sync.Mutex // guards the maps
	var settings dtr.Settings
	var viaUCP, direct []ucp.Container
	var docker *ucp.Engine

	group, ctx := errgroup.WithContext(parent)
	group.Go(func() (err error) { settings, err = c.DTR.Settings(ctx); return err })
	group.Go(func() (err error) { obs.Status, err = c.DTR.ClusterStatus(ctx); return err })
	group.Go(func() (err error) { obs.Features, err = c.DTR.Features(ctx); return err })
	for _, job := range migrationJobs {
		group.Go(func() error {
			jobs, err := c.DTR.Jobs(ctx, dtr.JobFilter{Action: job.action, Limit: recentJobs})
			mu.Lock()
			defer mu.Unlock()
			obs.Jobs[job.action] = jobs
			return err
		})
	}
	group.Go(func() error {
		obs.ContentTrust, obs.ContentTrustErr = c.UCP.RequireContentTrust(ctx)
		return nil
	})
	group.Go(func() error {
		engine, err := c.UCP.Engine(ctx)
		if err != nil {
			return err
		}
		group.Go(func() (err error) { viaUCP, err = engine.Containers(ctx, nil); return err })
		group.Go(func() (err error) { obs.Nodes, err = engine.Nodes(ctx); return err })
		group.Go(func() (err error) { obs.Version, err = engine.Version(ctx); return err })
		for _, image := range o.componentImages() {
			group.Go(func() error {
				err := askRegistry(ctx, engine, o, image)
				mu.Lock()
				defer mu.Unlock()
				obs.Images[image] = ImageState{Remote: err}
				return ctx.Err()
			})
		}
		if c.Docker == nil {
			group.Go(func() error { return obs.lookForBootstrapperImages(ctx, engine, o, &mu) })
		}
		return nil
	})
	if c.Docker != nil {
		group.Go(func() error {
			engine, err := ucp.NewEngine(ctx, *c.Docker)
			if err != nil {
				return err
			}
			docker = engine
			group.Go(func() (err error) { direct, err = engine.Containers(ctx, nil); return err })
			group.Go(func() error {
				info, err := engine.Info(ctx)
				obs.RunnerMemory = info.MemoryBytes
				return err
			})
			group.Go(func() error { return obs.lookForBootstrapperImages(ctx, engine, o, &mu) })
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	obs.Inventory = newInventory(c.DTR.URL(), settings, append(viaUCP, onlyBootstrappers(direct, viaUCP)...))
	if err := isMeant(o.Host, obs.Host); err != nil {
		return nil, err
	}
	if err := obs.check(settings); err != nil {
		return nil, err
	}
	if err := obs.lookForBackupImage(parent, c, o); err != nil {
		return nil, err
	}
	after, ctx := errgroup.WithContext(parent)
	after.Go(func() error { return obs.lookOnNodes(ctx, c, o) })
	if obs.due(o) {
		after.Go(func() error {
			if docker != nil {
				obs.lookAtMemory(ctx, docker, direct)
				return nil
			}
			engine, err := c.UCP.Engine(ctx)
			if err != nil {
				return err
			}
			replica, _ := obs.existingReplica(o.ExistingReplicaID)
			obs.lookAtMemory(ctx, engine, slices.DeleteFunc(viaUCP, func(c ucp.Container) bool { return c.Node != replica.Node }))
			return nil
		})
	}
	return obs, after.Wait()
}

// lookAtFiles looks at what the configuration names on this machine.
func (obs *Observation) lookAtFiles(o Options) {
	for _, v := range o.ahead() {
		if name := o.Archives[v.String()]; name != "" {
			obs.Archives[v.String()] = lookAtArchive(name)
		}
	}
	if o.Backup != nil && o.Backup.File != "" {
		obs.Backup = lookAtBackup(o.Backup.File)
	}
}

// lookOnNodes asks each replica's node which images it has, if there is a
// component's image that it would have to have already.
func (obs *Observation) lookOnNodes(ctx context.Context, c Cluster, o Options) error {
	var wanted []string
	for _, image := range o.componentImages() {
		if o.Pull == PullNever || obs.Images[image].Remote != nil || o.archived(image) {
			wanted = append(wanted, image)
		}
	}
	for _, image := range o.bootstrapperImages() {
		if o.archived(image) { // for its second phase
			wanted = append(wanted, image)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	engine, err := c.UCP.Engine(ctx)
	if err != nil {
		return err
	}
	onNodes, err := imagesOnNodes(ctx, engine, obs.replicaNodes())
	if err != nil {
		return err
	}
	for _, image := range wanted {
		state := obs.Images[image]
		state.Nodes = onNodes[image]
		obs.Images[image] = state
	}
	return nil
}

// imagesOnNodes maps each image to the nodes that have it.
func imagesOnNodes(ctx context.Context, engine *ucp.Engine, nodes []string) (map[string]map[string]bool, error) {
	lists := make([]map[string]bool, len(nodes))
	group, ctx := errgroup.WithContext(ctx)
	for i, node := range nodes {
		group.Go(func() (err error) { lists[i], err = engine.Images(ctx, node); return err })
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("look for images on the replicas' nodes: %w", err)
	}
	onNodes := map[string]map[string]bool{}
	for i, list := range lists {
		for image := range list {
			if onNodes[image] == nil {
				onNodes[image] = map[string]bool{}
			}
			onNodes[image][nodes[i]] = true
		}
	}
	return onNodes, nil
}

// onlyBootstrappers are the bootstrappers of the direct engine that UCP does not
// show: that engine need not be one of UCP's.
func onlyBootstrappers(direct, viaUCP []ucp.Container) []ucp.Container {
	return slices.DeleteFunc(slices.Clone(direct), func(d ucp.Container) bool {
		return !isBootstrapper(d) || slices.ContainsFunc(viaUCP, func(u ucp.Container) bool { return u.ID == d.ID })
	})
}

// askRegistry asks for an image where it would be pulled from. Not every UCP
// serves that question: one that has no such page says nothing of the image, and
// the pull, before anything is touched, will tell. Where nothing is to be pulled
// nothing is asked: an engine that cannot resolve the registry's name does little
// else for as long as it tries, and has such questions wait for one another.
func askRegistry(ctx context.Context, engine *ucp.Engine, o Options, image string) error {
	if o.Pull == PullNever || o.archived(image) {
		return nil
	}
	_, err := engine.RemoteImage(ctx, image)
	if errdefs.IsNotFound(err) && strings.Contains(err.Error(), "page not found") {
		return nil
	}
	return err
}

// lookForBootstrapperImages asks the engine that runs the bootstrapper for its
// image at every stop.
func (obs *Observation) lookForBootstrapperImages(ctx context.Context, engine *ucp.Engine, o Options, mu *sync.Mutex) error {
	group, ctx := errgroup.WithContext(ctx)
	var present map[string]bool
	group.Go(func() (err error) { present, err = engine.Images(ctx, ""); return err })
	images := o.bootstrapperImages()
	remote := make([]error, len(images))
	for i, image := range images {
		group.Go(func() error { remote[i] = askRegistry(ctx, engine, o, image); return ctx.Err() })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("look for the bootstrapper's images: %w", err)
	}
	mu.Lock()
	defer mu.Unlock()
	obs.onRunner = present
	for i, image := range images {
		obs.Images[image] = ImageState{Present: present[image], Remote: remote[i]}
	}
	return nil
}
