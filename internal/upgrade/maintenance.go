package upgrade

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/duration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// stepWindow is the wait for the maintenance window, before a hop.
const stepWindow = "window"

// leftHalfDone reports whether the hop's bootstrapper died in the middle of a
// replica. The cluster is a replica short until another one finishes it, so the
// maintenance window does not block that one. What somebody has removed or replaced by
// hand is no hop half done, and waits.
func leftHalfDone(i *cluster.Inventory, hop transition.Hop) bool {
	ours, found := i.UpgradeContainer()
	died := found && isForHop(ours.Labels, hop) && !ours.Running() && ours.State != cluster.StateCreated
	return died && slices.ContainsFunc(i.Replicas, func(r cluster.Replica) bool { return r.PartlyReplaced() })
}

// windowError is the refusal to start a hop's bootstrapper at a time; nil while the
// checkWindow is open, or where there is none.
func (o Options) windowError(at time.Time, hop transition.Hop) *ClosedWindowError {
	if o.Window == nil {
		return nil
	}
	open, opens := o.Window.Open(at)
	if open {
		return nil
	}
	return &ClosedWindowError{Hop: hop, Window: o.Window.String(), Opens: opens}
}

// blockedByWindow is the refusal to begin what is next, nil where nothing keeps it
// from being begun. A bootstrapper that is at work is waited for whatever the time.
// Where all containers are at the hop's target already, it is not known yet whether
// another one is due at all; checkWindowBeforeStart decides when it is. A migration is
// waited for at any time.
func (obs *Observation) blockedByWindow(plan Plan, o Options) *ClosedWindowError {
	repair := plan.Resume != nil && obs.HalfDone()
	if !plan.Due() || plan.Resume != nil && !repair || leftHalfDone(obs.Inventory, plan.next()) {
		return nil
	}
	atWork := func(c ucp.Container) bool {
		return c.Running() && (cluster.IsOurs(c, obs.Host) && cluster.IsUpgrade(c.Labels) || cluster.IsPhase2(c))
	}
	if slices.ContainsFunc(obs.Bootstrappers, atWork) {
		return nil
	}
	return o.windowError(obs.At, plan.next())
}

// checkWindow warns of a plan that is made while the window is closed, as most are.
func checkWindow(p *checks) {
	closed := p.obs.blockedByWindow(p.Plan, p.o)
	if closed == nil {
		return
	}
	f := preflight.Finding{
		Check: preflight.Window, Attribute: "maintenance_window",
		Summary: "The maintenance window is closed",
		Seen:    fmt.Sprintf("Window: %s\nOpens next: %s", closed.Window, closed.Opens.Format(time.RFC3339)),
		Todo:    "An apply before that is refused, and changes nothing.",
	}
	limit := p.o.TimeLimit
	switch waits := closed.Opens.Add(-limit); {
	case !p.o.Window.Wait || closed.Opens.IsZero():
	case limit > 0 && waits.After(p.obs.At):
		f.Todo = fmt.Sprintf("An apply waits for it for no longer than its time limit of %s: one before %s is refused, and changes nothing.",
			duration.Text(limit), waits.Format(time.RFC3339))
		f.Advice = []preflight.Advice{{Kind: preflight.RaiseTimeLimit}}
	default:
		f.Todo = "An apply before that waits for it, for as long as its timeouts allow."
	}
	p.find(f)
}

// checkWindowBeforeStart is the last look at the window before a bootstrapper is
// started. Much time may have passed since the hop was begun: images were pulled, or
// another apply was waited for. Its error is a *ClosedWindowError, or what kept it
// from looking.
func (r *run) checkWindowBeforeStart(ctx context.Context, hop transition.Hop) error {
	closed := r.o.windowError(r.o.now(), hop)
	if closed == nil {
		return nil
	}
	inventory, err := cluster.Inspect(ctx, r.cluster)
	if err != nil {
		return err
	}
	if leftHalfDone(inventory, hop) {
		log.Info(ctx, "The maintenance window is closed, and a half-done replica is finished all the same", map[string]any{"hop": hopName(hop)})
		return nil
	}
	return closed
}

// waitForWindow waits until the window opens, if the options say so and the time
// limit allows it. Its error is the *ClosedWindowError that it was given, or a
// *wait.DetachedError.
func (r *run) waitForWindow(ctx context.Context, closed *ClosedWindowError) error {
	if !r.o.Window.Wait || closed.Opens.IsZero() {
		return closed
	}
	if limit, ok := ctx.Deadline(); ok && time.Until(limit) < closed.Opens.Sub(r.o.now()) {
		closed.TooLate = true
		return closed
	}
	opens := closed.Opens.Format(time.RFC3339)
	fields := map[string]any{"hop": hopName(closed.Hop), "window": closed.Window, "opens": opens}
	log.Info(ctx, "Waiting for the maintenance window, which opens at "+opens, fields)
	ctx, stop := wait.Tell(ctx, "The wait for the maintenance window of "+opens, fields)
	defer stop()
	err := wait.Until(ctx, r.runner.Pace, func(context.Context) (bool, error) {
		return r.o.windowError(r.o.now(), closed.Hop) == nil, nil
	})
	if err != nil {
		return &wait.DetachedError{Step: stepWindow, Opens: closed.Opens, Cause: err}
	}
	log.Info(ctx, "The maintenance window is open", fields)
	return nil
}
