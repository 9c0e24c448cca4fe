package upgrade

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// CacheOptions is what a content cache is to be.
type CacheOptions struct {
	Name, Host string // as DTR is to have it registered
	// DTRHost is the external host of the DTR that has it; "" accepts any.
	DTRHost string

	// Version is what the cache is to run; nil leaves it as it is.
	Version *semver.Version
	// Applied is the version that the last run that succeeded has seen to, nil when
	// there was none. Another one is not believed before the cache has answered.
	Applied *semver.Version
	// Service is the swarm service that runs it, Container the container that does,
	// on Node if that is not empty. At most one of the two is set.
	Service         string
	Container, Node string
	Repository      string // of its image; "" is where it comes from now
	Probe           *CacheProbe

	Pace Pace
}

// CacheState is a content cache as it is.
type CacheState struct {
	DTRHost    string             // DTR's external host
	Registered []dtr.ContentCache // all that DTR has
	Workload   Workload
}

// Workload is what runs a content cache.
type Workload struct {
	// Version is the lowest that runs; nil when none does, or when its image does
	// not tell.
	Version *semver.Version
	// Settled says that it runs the version that is asked for, and nothing else,
	// and that nothing of a change is left to do.
	Settled bool
	// Problem is why it cannot be worked on: a *CacheMissingError, a
	// *CacheLeftoverError or a *CacheAmbiguousError.
	Problem error
}

// CacheReport is what became of a content cache.
type CacheReport struct {
	ID       string // of its registration; "" when it has none
	DTRHost  string // DTR's external host; "" when it could not be read
	Warnings Findings
	State    *CacheState // at the end; nil when it could not be looked at
}

// Find picks the registration with the id or, where that one is gone, one that is
// the same in all else. One that shares the name alone may be anybody's.
func (s *CacheState) Find(id, name, host string) (dtr.ContentCache, bool) {
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

// ObserveCache looks at a content cache and changes nothing. Its errors are
// *OtherClusterError and those of the clients.
func ObserveCache(ctx context.Context, c Cluster, o CacheOptions) (*CacheState, error) {
	host, err := dtrHost(ctx, c, o.DTRHost)
	if err != nil {
		return nil, err
	}
	registered, err := c.DTR.ContentCaches(ctx)
	if err != nil {
		return nil, err
	}
	state := &CacheState{DTRHost: host, Registered: registered}
	switch {
	case o.Service != "":
		state.Workload, err = newCacheRun(c, o).observeService(ctx)
	case o.Container != "":
		state.Workload, err = newCacheRun(c, o).observeContainer(ctx)
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
func dtrHost(ctx context.Context, c Cluster, want string) (string, error) {
	settings, err := c.DTR.Settings(ctx)
	if err != nil {
		return "", err
	}
	host := externalHost(c.DTR.URL(), settings)
	return host, isMeant(want, host)
}

func isProblem(err error) bool {
	var missing *CacheMissingError
	var leftover *CacheLeftoverError
	var ambiguous *CacheAmbiguousError
	return errors.As(err, &missing) || errors.As(err, &leftover) || errors.As(err, &ambiguous)
}

// SameHost compares the addresses of content caches.
func SameHost(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "/"), strings.TrimSuffix(b, "/"))
}

type cacheRun struct {
	cluster Cluster
	o       CacheOptions
	pace    Pace
}

func newCacheRun(c Cluster, o CacheOptions) *cacheRun {
	return &cacheRun{cluster: c, o: o, pace: o.Pace.orDefault()}
}

// RunCache makes a content cache what it is to be: first what it runs, then its
// registration, so that DTR never has one that does not answer. The id is that of
// the registration so far, or "". It returns a report in every case.
// Errors: those of ObserveCache and the problems of a Workload, *CacheTakenError,
// *CacheUpdateError, *CacheProbeError and *CacheDetachedError.
func RunCache(ctx context.Context, c Cluster, o CacheOptions, id string) (*CacheReport, error) {
	r := newCacheRun(c, o)
	report := &CacheReport{ID: id}
	err := r.run(ctx, report)

	lookCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	state, lookErr := ObserveCache(lookCtx, c, o)
	if lookErr != nil {
		tflog.Warn(ctx, "The content cache could not be looked at afterwards", map[string]any{"error": lookErr.Error()})
	}
	report.State = state
	return report, err
}

func (r *cacheRun) run(ctx context.Context, report *CacheReport) error {
	state, err := ObserveCache(ctx, r.cluster, r.o)
	if err != nil {
		return r.stoppedBy(ctx, err)
	}
	report.DTRHost = state.DTRHost
	if state.Workload.Problem != nil {
		return state.Workload.Problem
	}
	ours, registered := state.Find(report.ID, r.o.Name, r.o.Host)
	register := !registered || ours.Name != r.o.Name || !SameHost(ours.Host, r.o.Host)
	if register {
		if err := CheckCacheName(state.Registered, r.o, report.ID); err != nil {
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
			return r.stoppedBy(ctx, err)
		}
	}
	if doubted {
		if err := r.probe(ctx); err != nil {
			return r.stoppedBy(ctx, err)
		}
	}
	report.ID = ours.ID
	if register {
		if report.ID, err = r.register(ctx, state.Registered, ours, registered); err != nil {
			return r.stoppedBy(ctx, err)
		}
	}
	report.Warnings = r.outOfStep(ctx)
	return nil
}

func (r *cacheRun) deploy(ctx context.Context) error {
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
func (r *cacheRun) outOfStep(ctx context.Context) Findings {
	if r.o.Version == nil {
		return nil
	}
	text, err := r.cluster.DTR.Version(ctx)
	if err != nil {
		tflog.Warn(ctx, "DTR's version could not be read", map[string]any{"error": err.Error()})
		return nil
	}
	v, err := transition.ParseWire(text)
	if err != nil || v.Equal(r.o.Version) {
		return nil
	}
	return Findings{{
		Check: FollowUpContentCache, Severity: Warning, Attribute: "version",
		Summary: fmt.Sprintf("Content cache %s is out of step with DTR", r.o.Name),
		Detail: fmt.Sprintf("The cache runs %s, and DTR runs %s.\n\nSet version to that of DTR, best by a reference: dtr_upgrade.<name>.current_version. "+
			"A cache on another version causes authentication errors.", r.o.Version, v),
	}}
}

// image is what the cache is to run, seen from what it runs.
func (r *cacheRun) image(running string) string {
	repository, _ := splitImage(running)
	if repository == "sha256" { // an id, which does not tell where it is from
		repository = ""
	}
	return bootstrap.CacheImage(r.o.Repository, repository, r.o.Version)
}

// sameImage compares image references; a digest says nothing against a tag.
func sameImage(a, b string) bool {
	ra, ta := splitImage(strings.TrimPrefix(a, "docker.io/"))
	rb, tb := splitImage(strings.TrimPrefix(b, "docker.io/"))
	return ra == rb && ta == tb && ta != ""
}

// imageVersion is the version that an image's tag tells, nil for "latest", a
// digest alone, and whatever else is none.
func imageVersion(image string) *semver.Version {
	_, tag := splitImage(image)
	v, err := transition.ParseWire(tag)
	if err != nil {
		return nil
	}
	return v
}

// stoppedBy makes a *CacheDetachedError of an error that only says that the
// context has ended.
func (r *cacheRun) stoppedBy(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	var detached *CacheDetachedError
	if cause == nil || errors.As(err, &detached) || !errors.Is(err, cause) && !errors.Is(err, ctx.Err()) {
		return err
	}
	return &CacheDetachedError{Name: r.o.Name, Cause: cause}
}

// watch looks again and again until look is done with it, puts up with outages,
// and notices when it is interrupted. Seen says what is being waited for.
func (r *cacheRun) watch(ctx context.Context, seen func() []string, look func(context.Context) (done bool, err error)) error {
	pause := newPause(r.pace.Poll)
	gone := outage{limit: r.pace.Outage}
	for {
		done, err := look(ctx)
		if done && err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return &CacheDetachedError{Name: r.o.Name, Seen: seen(), Cause: context.Cause(ctx)}
		}
		if done {
			return err
		}
		if fatal(err) || gone.over(err) {
			return err
		}
		if err != nil {
			tflog.Debug(ctx, "The content cache could not be looked at", map[string]any{"error": err.Error()})
		}
		if err := pause.wait(ctx); err != nil {
			return &CacheDetachedError{Name: r.o.Name, Seen: seen(), Cause: err}
		}
	}
}

// since is how long something has been the case.
type since struct{ begun time.Time }

// longer says whether it has been so for longer than the limit.
func (s *since) longer(limit time.Duration, so bool) bool {
	switch {
	case !so:
		s.begun = time.Time{}
	case s.begun.IsZero():
		s.begun = time.Now()
	}
	return so && time.Since(s.begun) > limit
}

func (r *cacheRun) missing(kind, name string) error {
	return &CacheMissingError{Kind: kind, Name: name, Node: r.o.Node}
}
