package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// A pull or a load through UCP goes to every node that is registered there, lost
// ones and those of another operating system included, and ends in an error when
// one of them fails. So its end tells nothing of the nodes that matter: those are
// looked at afterwards.

// BringBootstrapper brings the bootstrapper's image to where it is to run, where
// it is missing there, and checks its digest: on the node, or for a cluster with an
// engine of its own on that. Errors: *BringError, *DigestError,
// *wait.DetachedError and those of the engine.
func (s Source) BringBootstrapper(ctx context.Context, c cluster.Cluster, pace wait.Pace, node string, version *semver.Version) error {
	if c.Docker != nil {
		node = ""
	}
	at := Location{s.Bootstrapper(version), node}
	if err := s.bring(ctx, c, pace, version, s.Pull == PullAlways, []Location{at}); err != nil {
		return err
	}
	err := outlast(ctx, pace, func(ctx context.Context) error { return s.checkDigest(ctx, c, at, version) })
	return detached(ctx, err)
}

// outlast is wait.Outlast for what an engine is asked.
func outlast(ctx context.Context, pace wait.Pace, do func(context.Context) error) error {
	return wait.Outlast(ctx, pace, func(err error) bool { return wait.IsOutage(err) || isCutOff(err) }, do)
}

// isCutOff reports whether the answer to a transfer has ended before its end.
func isCutOff(err error) bool {
	var lost *net.OpError
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &lost)
}

// BringComponents brings the images of a replica's parts to the nodes that lack
// them, so that the bootstrapper does not find out in the middle of a replica. An
// archive also brings the bootstrapper's, which runs its second phase there. Errors:
// *BringError, *wait.DetachedError and those of the engine.
func (s Source) BringComponents(ctx context.Context, c cluster.Cluster, pace wait.Pace, nodes []string, version *semver.Version) error {
	images := s.Components(version)
	if s.Archives[version.String()] != "" {
		images = s.All(version)
	}
	var locations []Location
	for _, node := range nodes {
		for _, image := range images {
			locations = append(locations, Location{image, node})
		}
	}
	return s.bring(ctx, c, pace, version, false, locations)
}

// bring loads or pulls, as the source says, what is lacking at the locations.
// Always is for a pull of what is there, too.
func (s Source) bring(ctx context.Context, c cluster.Cluster, pace wait.Pace, v *semver.Version, always bool, locations []Location) error {
	archive := s.Archives[v.String()]
	if archive == "" && s.Pull == PullNever {
		return nil // preflight has seen that they are there
	}
	var lacking []Location
	err := outlast(ctx, pace, func(ctx context.Context) (err error) { lacking, err = missing(ctx, c, locations); return err })
	if err != nil {
		return detached(ctx, err)
	}
	failure := BringError{Version: v.String(), Archive: archive}
	switch {
	case archive != "" && len(lacking) > 0:
		load := &transfer{locations: lacking, do: load(archive, v)}
		return broughtBy(ctx, c, pace, failure, []*transfer{load})
	case archive != "":
		return nil
	case always:
		lacking = locations
	}
	return broughtBy(ctx, c, pace, failure, pulls(lacking, always))
}

// Pull has an image pulled where it is missing. Errors: *BringError,
// *wait.DetachedError and those of the engine.
func Pull(ctx context.Context, c cluster.Cluster, pace wait.Pace, at Location) error {
	var lacking []Location
	err := outlast(ctx, pace, func(ctx context.Context) (err error) { lacking, err = missing(ctx, c, []Location{at}); return err })
	if err != nil {
		return detached(ctx, err)
	}
	return broughtBy(ctx, c, pace, BringError{}, pulls(lacking, false))
}

// transfersAtOnce is how many images are pulled side by side: what Docker's own
// engine does with layers.
const transfersAtOnce = 3

// broughtBy makes the transfers, and looks where something is missing after them. What
// they did not bring goes into the failure, which is returned then. Those that an outage
// has broken off are made again.
func broughtBy(ctx context.Context, c cluster.Cluster, pace wait.Pace, failure BringError, transfers []*transfer) error {
	err := outlast(ctx, pace, func(ctx context.Context) error {
		broken, failed, err := transferOnce(ctx, c, pace, transfers)
		if err != nil || len(failed) == 0 {
			return err
		}
		transfers, failure.Failed = broken, failed
		return &failure
	})
	return detached(ctx, err)
}

// transferOnce makes the transfers, and returns those that have not brought everything,
// with what they have not.
func transferOnce(ctx context.Context, c cluster.Cluster, pace wait.Pace, transfers []*transfer) (broken []*transfer, failed []Failure, err error) {
	var locations []Location
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(transfersAtOnce)
	for _, t := range transfers {
		locations = append(locations, t.locations...)
		group.Go(func() error { return t.run(groupCtx, c) })
	}
	if err := group.Wait(); err != nil || len(transfers) == 0 {
		return nil, nil, err
	}
	lacking, err := lackingAfter(ctx, c, pace, locations, func(l Location) bool { return carrying(transfers, l).failed(l.Node) })
	if err != nil {
		return nil, nil, err
	}
	for _, l := range locations {
		t := carrying(transfers, l)
		if slices.Contains(lacking, l) || t.always && !t.reached(l.Node) {
			failed = append(failed, Failure{l, t.why(l.Node)})
			if !slices.Contains(broken, t) {
				broken = append(broken, t)
			}
		}
	}
	if len(failed) == 0 {
		logUnfinished(ctx, transfers)
	}
	return broken, failed, nil
}

// logUnfinished tells of transfers that UCP could not finish, though what was needed of them
// is there: in one line, since it is that of every image where a worker runs Windows, and with
// each error for whoever looks for a fault.
func logUnfinished(ctx context.Context, transfers []*transfer) {
	unfinished := slices.DeleteFunc(slices.Clone(transfers), func(t *transfer) bool { return t.err == nil })
	if len(unfinished) == 0 {
		return
	}
	log.Warn(ctx, "UCP could not bring images to every node; those that need them have them", map[string]any{
		"images": len(unfinished), "error": unfinished[0].err.Error(),
	})
	for _, t := range unfinished {
		log.Debug(ctx, "A node has not got an image", map[string]any{"error": t.err.Error()})
	}
}

func carrying(transfers []*transfer, l Location) *transfer {
	return transfers[slices.IndexFunc(transfers, func(t *transfer) bool { return slices.Contains(t.locations, l) })]
}

// lackingAfter are the locations that lack their image after a transfer. UCP's
// lists may be incomplete for a while: a location is believed to lack it at once only
// where the transfer is known to have failed.
func lackingAfter(ctx context.Context, c cluster.Cluster, pace wait.Pace, locations []Location, failed func(Location) bool) (lacking []Location, err error) {
	began := time.Now()
	err = wait.Until(ctx, pace, func(ctx context.Context) (bool, error) {
		if lacking, err = missing(ctx, c, locations); err != nil {
			return false, err
		}
		unexpected := slices.ContainsFunc(lacking, func(l Location) bool { return !failed(l) })
		return !unexpected || time.Since(began) >= pace.Consistent, nil
	})
	return lacking, err
}

// transfer is one pull or load, through UCP or on the engine of Cluster.Docker.
type transfer struct {
	locations []Location // that it is for, all of the same engine
	always    bool       // the image is to be what the registry has, not only to be there
	do        func(ctx context.Context, engine *ucp.Engine, progress func(string)) error

	err  error             // with which it ended
	said map[string]string // the last that UCP said of each node
}

// run makes the transfer. That it fails is no error of its own.
func (t *transfer) run(ctx context.Context, c cluster.Cluster) error {
	engine, err := t.engine(ctx, c)
	if err != nil {
		return err
	}
	t.said = map[string]string{}
	t.err = t.do(ctx, engine, func(line string) {
		if node, text, ok := nodeSays(line); ok {
			t.said[node] = text
		}
	})
	return context.Cause(ctx)
}

func (t *transfer) engine(ctx context.Context, c cluster.Cluster) (*ucp.Engine, error) {
	if t.locations[0].Node == "" {
		return c.BootstrapEngine(ctx)
	}
	return c.UCP.Engine(ctx)
}

// nodeDone is what UCP says in the end of a node that has pulled an image.
const nodeDone = "downloaded"

// nodeSays reads a line of UCP's about one of its nodes, such as
// "worker1: Pulling docker/dtr:2.6.15... : downloaded".
func nodeSays(line string) (node, text string, ok bool) {
	node, status, _ := strings.Cut(line, ": ")
	_, text, ok = strings.Cut(status, "... : ")
	return node, text, ok
}

// failed reports whether the transfer has failed on the node, as far as is known.
func (t *transfer) failed(node string) bool { return t.why(node) != nil }

// reached reports whether the transfer is known to have succeeded on the node.
func (t *transfer) reached(node string) bool {
	text, said := t.said[node]
	return text == nodeDone || !said && t.err == nil
}

// why is the reason for which the transfer did not bring anything to the node; nil
// when none is known.
func (t *transfer) why(node string) error {
	text, said := t.said[node]
	switch {
	case said && text != nodeDone:
		return errors.New(text)
	case said, len(t.said) > 0: // then the error is about other nodes
		return nil
	}
	return t.err
}

// BringError says that images were not brought to where they are needed.
type BringError struct {
	Version string // of DTR; "" for another image
	Archive string // that they were to come from; "" for a registry
	Failed  []Failure
}

// Failure is an image that was not brought to where it is needed.
type Failure struct {
	Location
	Cause error // nil when the engines said nothing of it, and the image is not there
}

func (f Failure) String() string {
	if f.Cause == nil {
		return f.Location.String() + ": it is not there afterwards"
	}
	return fmt.Sprintf("%s: %v", f.Location, f.Cause)
}

func (e *BringError) Error() string {
	var failed []string
	for _, f := range e.Failed {
		failed = append(failed, f.String())
	}
	what := "pull images"
	if e.Archive != "" {
		what = "load images from " + e.Archive
	}
	return what + ": " + strings.Join(failed, "; ")
}

// Unwrap gives the causes.
func (e *BringError) Unwrap() []error {
	var causes []error
	for _, f := range e.Failed {
		if f.Cause != nil {
			causes = append(causes, f.Cause)
		}
	}
	return causes
}

// detached makes a *wait.DetachedError of what a cancelled transfer or look
// returns, and keeps any other error.
func detached(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &wait.DetachedError{Step: Step, Cause: context.Cause(ctx)}
	}
	return err
}
