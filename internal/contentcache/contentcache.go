// Package contentcache brings a content cache of DTR to its wanted state: its
// registration in DTR, and the image of the swarm service or the container that
// runs it.
//
// It must not import the upgrade or the replica package.
package contentcache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// Options are the wanted state of a content cache.
type Options struct {
	Name, Host string // of the registration
	// DTRHost is the external host of the DTR that has it; "" accepts any.
	DTRHost string

	// Version is the one that the cache should run; nil leaves it as it is.
	Version *semver.Version
	// Applied is the version of the last run that succeeded, nil when there was
	// none. At any other version the cache must answer the probe first.
	Applied *semver.Version
	// Service is the swarm service that runs it, Container the container that does,
	// on Node if that is not empty. At most one of the two is set.
	Service         string
	Container, Node string
	Repository      string // of its image; "" is where it comes from now
	Probe           *Probe

	Pace wait.Pace
}

// State is a content cache as DTR and UCP show it.
type State struct {
	DTRHost    string             // DTR's external host
	Registered []dtr.ContentCache // all that DTR has
	Workload   Workload
}

// Workload is the swarm service or the container that runs a content cache.
type Workload struct {
	// Version is the lowest that runs; nil when none does, or when its image does
	// not tell.
	Version *semver.Version
	// Settled says that it runs the version that is asked for, and nothing else,
	// and that nothing of a change is left to do.
	Settled bool
	// Problem is why it cannot be worked on: a *MissingError, a *LeftoverError, a
	// *NodeDownError or a *AmbiguousError.
	Problem error
}

// Report is what became of a content cache.
type Report struct {
	ID       string // of its registration; "" when it has none
	DTRHost  string // DTR's external host; "" when it could not be read
	Warnings preflight.Findings
	State    *State // at the end; nil when it could not be looked at
}

// Find picks the registration with the id or, where that one is gone, one that is
// the same in all else. One that shares the name alone may be anybody's.
func (s *State) Find(id, name, host string) (dtr.ContentCache, bool) {
	found, ok := dtr.ContentCache{}, false
	for _, c := range s.Registered {
		switch {
		case c.ID == id:
			return c, true
		case c.Name == name && SameHost(c.Host, host):
			found, ok = c, true
		}
	}
	return found, ok
}

// Look looks at a content cache and changes nothing. Its errors are
// *OtherClusterError and those of the clients.
func Look(ctx context.Context, c cluster.Cluster, o Options) (*State, error) {
	host, err := dtrHost(ctx, c, o.DTRHost)
	if err != nil {
		return nil, err
	}
	registered, err := c.DTR.Caches().List(ctx)
	if err != nil {
		return nil, err
	}
	state := &State{DTRHost: host, Registered: registered}
	switch {
	case o.Service != "":
		state.Workload, err = newRun(c, o).observeService(ctx)
	case o.Container != "":
		state.Workload, err = newRun(c, o).observeContainer(ctx)
	}
	if isProblem(err) {
		state.Workload.Problem, err = err, nil
	}
	if err != nil {
		return nil, err
	}
	return state, nil
}

// dtrHost reads DTR's external host. Unless want is empty, the error is a
// *OtherClusterError when it is another one.
func dtrHost(ctx context.Context, c cluster.Cluster, want string) (string, error) {
	settings, err := c.DTR.Settings(ctx)
	if err != nil {
		return "", err
	}
	host := c.ExternalHost(settings)
	return host, cluster.CheckHost(want, host)
}

func isProblem(err error) bool {
	var missing *MissingError
	var leftover *LeftoverError
	var ambiguous *AmbiguousError
	var down *NodeDownError
	return errors.As(err, &down) || errors.As(err, &missing) || errors.As(err, &leftover) || errors.As(err, &ambiguous)
}

// SameHost compares the addresses of content caches.
func SameHost(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "/"), strings.TrimSuffix(b, "/"))
}

// Step is the step in which a content cache is waited for.
const Step = "content-cache"

// cleanupLimit bounds what is done after a run, also after one that was cancelled.
const cleanupLimit = 30 * time.Second

type run struct {
	cluster cluster.Cluster
	o       Options
	pace    wait.Pace
}

func newRun(c cluster.Cluster, o Options) *run {
	return &run{cluster: c, o: o, pace: o.Pace.OrDefault()}
}

// Run makes a content cache what it is to be: first what it runs, then its
// registration, so that DTR never has one that does not answer. The id is that of
// the registration so far, or "". It returns a report in every case.
// Errors: those of Look and the problems of a Workload, *TakenError,
// *UpdateError, *ProbeError and *wait.DetachedError.
func Run(ctx context.Context, c cluster.Cluster, o Options, id string) (*Report, error) {
	r := newRun(c, o)
	report := &Report{ID: id}
	err := r.run(ctx, report)

	lookCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupLimit)
	defer cancel()
	state, lookErr := Look(lookCtx, c, o)
	if lookErr != nil {
		log.Warn(ctx, "The content cache could not be looked at afterwards", map[string]any{"error": lookErr.Error()})
	}
	report.State = state
	return report, err
}

func (r *run) run(ctx context.Context, report *Report) error {
	state, err := Look(ctx, r.cluster, r.o)
	if err != nil {
		return r.detached(ctx, err)
	}
	report.DTRHost = state.DTRHost
	if state.Workload.Problem != nil {
		return state.Workload.Problem
	}
	ours, registered := state.Find(report.ID, r.o.Name, r.o.Host)
	register := !registered || ours.Name != r.o.Name || !SameHost(ours.Host, r.o.Host)
	if register {
		if err := CheckName(state.Registered, r.o, report.ID); err != nil {
			return err
		}
	}
	deploy := r.o.Version != nil && !state.Workload.Settled
	doubted := register || deploy || r.o.Version != nil && (r.o.Applied == nil || !r.o.Applied.Equal(r.o.Version))
	if doubted {
		if err := r.checkProbe(ctx); err != nil {
			return err
		}
	}
	if deploy {
		if err := r.deploy(ctx); err != nil {
			return r.detached(ctx, err)
		}
	}
	if doubted {
		if err := r.probe(ctx); err != nil {
			return r.detached(ctx, err)
		}
	}
	report.ID = ours.ID
	if register {
		if report.ID, err = r.register(ctx, state.Registered, ours, registered); err != nil {
			return r.detached(ctx, err)
		}
	}
	report.Warnings = r.outOfStep(ctx)
	return nil
}

func (r *run) deploy(ctx context.Context) error {
	engine, err := r.cluster.UCP.Engine(ctx)
	if err != nil {
		return err
	}
	if r.o.Service != "" {
		return r.updateService(ctx, engine)
	}
	return r.updateContainer(ctx, engine)
}

// outOfStep warns of a cache that does not run what DTR runs.
func (r *run) outOfStep(ctx context.Context) preflight.Findings {
	if r.o.Version == nil {
		return nil
	}
	text, err := r.cluster.DTR.Version(ctx)
	if err != nil {
		log.Warn(ctx, "DTR's version could not be read", map[string]any{"error": err.Error()})
		return nil
	}
	v, err := transition.ParseWire(text)
	if err != nil || v.Equal(r.o.Version) {
		return nil
	}
	return preflight.Findings{{
		Check: preflight.FollowUpContentCache, Severity: preflight.Warning, Attribute: "version",
		Summary: fmt.Sprintf("Content cache %s does not run the version of DTR", r.o.Name),
		Seen:    fmt.Sprintf("The cache runs %s, and DTR runs %s. A cache on another version causes authentication errors.", r.o.Version, v),
		Advice:  []preflight.Advice{{Kind: preflight.FollowVersion}},
	}}
}

// image is what the cache is to run, seen from what it runs.
func (r *run) image(running string) string {
	repository, _ := cluster.ParseImage(running)
	if repository == "sha256" { // an id, which does not tell where it is from
		repository = ""
	}
	return bootstrap.CacheImage(r.o.Repository, repository, r.o.Version)
}

// sameImage compares image references; where both have a tag, a digest is ignored.
func sameImage(a, b string) bool {
	ra, ta := cluster.ParseImage(a)
	rb, tb := cluster.ParseImage(b)
	return ra == rb && ta == tb && ta != ""
}

// imageVersion is the version that an image's tag tells, nil for "latest", a
// digest alone, and whatever else is none.
func imageVersion(image string) *semver.Version {
	_, tag := cluster.ParseImage(image)
	v, err := transition.ParseWire(tag)
	if err != nil {
		return nil
	}
	return v
}

// detached makes a *wait.DetachedError of an error that only says that the context
// has ended.
func (r *run) detached(ctx context.Context, err error) error {
	err = wait.Detached(ctx, Step, err)
	if detached, ok := errors.AsType[*wait.DetachedError](err); ok {
		detached.Step, detached.Name = Step, r.o.Name
	}
	return err
}

// until looks until look is done with it; seen says what is being waited for.
func (r *run) until(ctx context.Context, seen func() []string, look func(context.Context) (done bool, err error)) error {
	ctx, stop := wait.Tell(ctx, "The wait for content cache "+r.o.Name, map[string]any{"cache": r.o.Name})
	defer stop()
	err := wait.Until(ctx, r.pace, func(ctx context.Context) (bool, error) {
		done, err := look(ctx)
		wait.Remark(ctx, strings.Join(seen(), "; "))
		return done, err
	})
	if err != nil && ctx.Err() != nil {
		return &wait.DetachedError{Step: Step, Name: r.o.Name, Seen: seen(), Cause: context.Cause(ctx), LastError: wait.LastError(ctx, err)}
	}
	return err
}

// since is how long something has been the case.
type since struct{ begun time.Time }

// longer reports whether it has been so for longer than the limit.
func (s *since) longer(limit time.Duration, so bool) bool {
	switch {
	case !so:
		s.begun = time.Time{}
	case s.begun.IsZero():
		s.begun = time.Now()
	}
	return so && time.Since(s.begun) > limit
}

func (r *run) missing(kind, name string) error {
	return &MissingError{Kind: kind, Name: name, Node: r.o.Node}
}
