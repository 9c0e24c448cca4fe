package upgrade

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// stepWindow is the wait for the maintenance window, before a hop.
const stepWindow = "window"

// leftHalfDone says whether the hop's bootstrapper died in the middle of a
// replica. The cluster is a replica short until another one finishes it, and the
// maintenance window does not hold that one back.
func (i *Inventory) leftHalfDone(hop transition.Hop) bool {
	ours, found := i.bootstrapper()
	begun := found && isForHop(ours.Labels, hop) || len(i.Versions()) > 1 || hop.From.Equal(hop.To)
	return begun && slices.ContainsFunc(i.Replicas, func(r Replica) bool { return r.Listed && r.torn() })
}

// torn says whether the containers of a replica do not all run, or not all one
// version.
func (r Replica) torn() bool {
	if len(r.Containers) > 0 && len(r.missing()) > 0 {
		return true
	}
	lowest := r.Version()
	for _, c := range r.Containers {
		if c.State != "running" || c.Version != nil && !c.Version.Equal(lowest) {
			return true
		}
	}
	return false
}

// closed is the refusal to start a hop's bootstrapper at a time; nil while the
// window is open, or where there is none.
func (o Options) closed(at time.Time, hop transition.Hop) *ClosedWindowError {
	if o.Window == nil {
		return nil
	}
	open, opens := o.Window.Open(at)
	if open {
		return nil
	}
	return &ClosedWindowError{Hop: hop, Window: o.Window.String(), Opens: opens}
}

// heldBack says whether the window keeps what is next from being begun. A
// bootstrapper that is at work is followed to its end, whenever that is. Where all
// containers are at the hop's target already, it is not known yet whether another
// one is due at all; mayStart decides when it is.
func (obs *Observation) heldBack(plan Plan, o Options) *ClosedWindowError {
	if len(plan.Hops) == 0 || plan.Resume != nil || obs.leftHalfDone(plan.next()) {
		return nil
	}
	atWork := func(c ucp.Container) bool {
		return running(c) && (isOurs(c, obs.Host) && isUpgrade(c.Labels) || baseName(c.Name) == phase2Name)
	}
	if slices.ContainsFunc(obs.Bootstrappers, atWork) {
		return nil
	}
	return o.closed(obs.At, plan.next())
}

// window warns of a plan that is made while the window is closed, as most are.
func (p *preflight) window() {
	closed := p.obs.heldBack(p.Plan, p.o)
	if closed == nil {
		return
	}
	todo := "An apply before that is refused, and changes nothing."
	if p.o.Window.Wait {
		todo = "An apply before that waits for it, for as long as its timeouts allow."
	}
	p.find(CheckWindow, Warning, "maintenance_window", "The maintenance window is closed",
		fmt.Sprintf("Window: %s\nOpens next: %s", closed.Window, closed.Opens.Format(time.RFC3339)), todo)
}

// mayStart is the last look at the window before a bootstrapper is started. Much
// time may have passed since the hop was begun: images were pulled, or another
// apply was waited for. Its error is a *ClosedWindowError, or what kept it from
// looking.
func (r *run) mayStart(ctx context.Context, hop transition.Hop) error {
	closed := r.o.closed(r.o.now(), hop)
	if closed == nil {
		return nil
	}
	inventory, err := Inspect(ctx, r.cluster)
	if err != nil {
		return err
	}
	if inventory.leftHalfDone(hop) {
		tflog.Info(ctx, "The maintenance window is closed, and a half-done replica is finished all the same", map[string]any{"hop": hopName(hop)})
		return nil
	}
	return closed
}

// await waits until the window opens, if the options say so and the time limit
// allows it. Its error is the *ClosedWindowError that it was given, or a
// *DetachedError.
func (r *run) await(ctx context.Context, closed *ClosedWindowError) error {
	if !r.o.Window.Wait || closed.Opens.IsZero() {
		return closed
	}
	if limit, ok := ctx.Deadline(); ok && time.Until(limit) < closed.Opens.Sub(r.o.now()) {
		closed.TooLate = true
		return closed
	}
	tflog.Info(ctx, "The maintenance window is waited for", map[string]any{
		"hop": hopName(closed.Hop), "window": closed.Window, "opens": closed.Opens.Format(time.RFC3339),
	})
	pause := newPause(r.pace.Poll)
	for r.o.closed(r.o.now(), closed.Hop) != nil {
		if err := pause.wait(ctx); err != nil {
			return &DetachedError{Step: stepWindow, Opens: closed.Opens, Cause: err}
		}
	}
	tflog.Info(ctx, "The maintenance window is open", map[string]any{"hop": hopName(closed.Hop)})
	return nil
}
