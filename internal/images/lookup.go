package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/Masterminds/semver/v3"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// Lookup is where the images of some versions are, as far as was asked.
type Lookup struct {
	Source   Source
	States   map[string]State // by image; one that was not asked for is missing
	Archives map[string]error // version to what is wrong with its archive at first sight
	Node     string           // that runs the bootstrapper, as in Location

	mu sync.Mutex // guards States while several are asked for
}

// State is where one image is, and where it can be pulled from.
type State struct {
	Present bool            // where the bootstrapper runs, for its image
	Nodes   map[string]bool // nodes that have it, for a component's image; nil when not asked
	Remote  error           // why the registry does not hand it out; nil when it does
}

// NewLookup looks at the archives of the versions, on this machine alone.
func NewLookup(s Source, versions []*semver.Version) *Lookup {
	l := &Lookup{Source: s, States: map[string]State{}, Archives: map[string]error{}}
	for _, v := range versions {
		l.checkArchive(v)
	}
	return l
}

func (l *Lookup) checkArchive(v *semver.Version) {
	if name := l.Source.Archives[v.String()]; name != "" {
		l.Archives[v.String()] = checkFirstEntry(name)
	}
}

// AskComponents asks UCP's registry for the images of the versions' parts, side by
// side. A registry's refusal is no error of its own: it is part of the state.
func (l *Lookup) AskComponents(ctx context.Context, engine *ucp.Engine, versions []*semver.Version) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, v := range versions {
		for _, image := range l.Source.Components(v) {
			group.Go(func() error {
				l.set(image, State{Remote: l.Source.askRegistry(ctx, engine, image)})
				return ctx.Err()
			})
		}
	}
	return group.Wait()
}

func (l *Lookup) set(image string, s State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.States[image] = s
}

// AskBootstrappers asks the engine that runs the bootstrapper for its image at the
// versions. Which of them are on an engine outside UCP is asked as well; of UCP's nodes
// AskNodes tells that, where it matters.
func (l *Lookup) AskBootstrappers(ctx context.Context, engine *ucp.Engine, outside bool, versions []*semver.Version) error {
	var present map[string]bool
	group, ctx := errgroup.WithContext(ctx)
	if outside && len(versions) > 0 {
		group.Go(func() (err error) { present, err = engine.Images(ctx, ""); return err })
	}
	remote := make([]error, len(versions))
	for i, v := range versions {
		group.Go(func() error {
			remote[i] = l.Source.askRegistry(ctx, engine, l.Source.Bootstrapper(v))
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("look for the bootstrapper's images: %w", err)
	}
	for i, v := range versions {
		image := l.Source.Bootstrapper(v)
		l.set(image, State{Present: present[image], Remote: remote[i]})
	}
	return nil
}

// AddBootstrapper asks for the bootstrapper's image of one more version, where it
// is going to run.
func (l *Lookup) AddBootstrapper(ctx context.Context, c cluster.Cluster, v *semver.Version) error {
	l.checkArchive(v)
	image := l.Source.Bootstrapper(v)
	lacking, err := missing(ctx, c, []Location{{image, l.Node}})
	if err != nil {
		return err
	}
	state := State{Present: len(lacking) == 0}
	if !state.Present {
		engine, err := c.BootstrapEngine(ctx)
		if err != nil {
			return err
		}
		if state.Remote = l.Source.askRegistry(ctx, engine, image); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	l.set(image, state)
	return nil
}

// AskNodes asks each of the nodes which images it has, if there is an image of the
// versions that it would have to have already.
func (l *Lookup) AskNodes(ctx context.Context, c cluster.Cluster, nodes []string, versions []*semver.Version) error {
	neededThere := func(image string) bool {
		return l.Source.Pull == PullNever || l.States[image].Remote != nil || l.Source.FromArchive(image)
	}
	var wanted []string
	for _, v := range versions {
		wanted = append(wanted, slices.DeleteFunc(l.Source.All(v), func(image string) bool { return !neededThere(image) })...)
	}
	if len(wanted) == 0 {
		return nil
	}
	onNodes, err := onNodes(ctx, c, nodes)
	if err != nil {
		return err
	}
	for _, image := range wanted {
		state := l.States[image]
		state.Nodes = onNodes[image]
		switch {
		case slices.Contains(nodes, l.Node):
			state.Present = state.Nodes[l.Node]
		case c.Docker == nil: // else another engine runs the bootstrapper
			state.Present = len(state.Nodes) > 0
		}
		l.States[image] = state
	}
	return nil
}

// Available reports whether the bootstrapper's image is there or can be pulled. An
// image that was not asked for is looked at when its hop begins.
func (l *Lookup) Available(image string) bool {
	state, asked := l.States[image]
	if !asked {
		return true
	}
	switch l.Source.Pull {
	case PullNever:
		return state.Present
	case PullAlways:
		return state.Remote == nil
	}
	return state.Present || state.Remote == nil
}

// Unavailable are the images of a version that are neither on the nodes nor can be
// pulled, with the nodes that lack them, and the registry's refusal if there was
// one.
func (l *Lookup) Unavailable(v *semver.Version, nodes []string) (images []string, cause error) {
	if image := l.Source.Bootstrapper(v); !l.Available(image) {
		images, cause = append(images, Location{image, l.Node}.String()), l.States[image].Remote
	}
	for _, image := range l.Source.Components(v) {
		state, asked := l.States[image]
		if !asked || l.Source.Pull != PullNever && state.Remote == nil {
			continue
		}
		if lacking := state.lacking(nodes); len(lacking) > 0 {
			images = append(images, fmt.Sprintf("%s on %s", image, strings.Join(lacking, ", ")))
			if cause == nil {
				cause = state.Remote
			}
		}
	}
	return images, cause
}

// Missing are the images of a version that are not on every node that needs them,
// as far as the nodes were asked.
func (l *Lookup) Missing(v *semver.Version, nodes []string) []string {
	bootstrapper := l.Source.Bootstrapper(v)
	var missing []string
	for _, image := range l.Source.All(v) {
		state := l.States[image]
		if image == bootstrapper && !state.Present {
			missing = append(missing, Location{image, l.Node}.String())
			continue
		}
		if lacking := state.lacking(nodes); len(lacking) > 0 {
			missing = append(missing, fmt.Sprintf("%s on %s", image, strings.Join(lacking, ", ")))
		}
	}
	return missing
}

// lacking are the nodes that do not have the image.
func (s State) lacking(nodes []string) []string {
	return slices.DeleteFunc(slices.Clone(nodes), func(n string) bool { return s.Nodes[n] })
}

// askRegistry asks for an image where it would be pulled from. Not every UCP
// serves that question: one that has no such page says nothing of the image, and
// the pull, before anything is touched, will tell. Where nothing is to be pulled
// nothing is asked: an engine that cannot resolve the registry's name does little
// else for as long as it tries, and has such questions wait for one another.
func (s Source) askRegistry(ctx context.Context, engine *ucp.Engine, image string) error {
	if s.Pull == PullNever || s.FromArchive(image) {
		return nil
	}
	_, err := engine.RemoteImage(ctx, image)
	if errors.Is(err, ucp.ErrNoPage) {
		return nil
	}
	return err
}
