package upgrade

import (
	"slices"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// stage is how far a run has come that is checked.
type stage struct {
	applying bool // on the machine whose files count
	backedUp bool // by this run
}

// checks are the checks of one observation.
type checks struct {
	Plan
	obs      *Observation
	o        Options
	stage    stage
	findings preflight.Findings
}

// find reports what a check found. A check that may be skipped, and is, warns.
func (p *checks) find(f preflight.Finding) {
	if f.Severity == preflight.Error && slices.Contains(preflight.Skippable(), f.Check) {
		if p.o.SkipChecks[f.Check] || p.adopts() {
			f.Severity = preflight.Warning
		} else {
			f.Advice = append(f.Advice, preflight.Advice{Kind: preflight.SkipCheck, Value: string(f.Check)})
		}
	}
	p.findings = append(p.findings, f)
}

// require reports what would keep the verification from succeeding whatever is
// skipped. It only warns while the bootstrapper of the next hop is at work.
func (p *checks) require(f preflight.Finding) {
	f.Severity = preflight.Error
	if p.adopts() {
		f.Severity = preflight.Warning
	}
	p.findings = append(p.findings, f)
}

// adopts reports whether the bootstrapper of the next hop is at work. No check that
// may be skipped must then keep the run from waiting for it.
func (p *checks) adopts() bool {
	return p.Due() && adopts(p.obs.Inventory, p.next())
}

// upgradeAtWork returns the container of this provider's upgrade that runs, whichever hop
// it is for.
func (p *checks) upgradeAtWork() (ucp.Container, bool) {
	ours, found := p.obs.UpgradeContainer()
	return ours, found && ours.Running()
}

// replacer returns a bootstrapper that is at work and may be replacing a replica. A backup
// replaces none, nor does what joins or removes one.
func (p *checks) replacer() (ucp.Container, bool) {
	if ours, found := p.upgradeAtWork(); found {
		return ours, true
	}
	backup, _ := p.obs.BackupContainer()
	change, _ := p.obs.MembershipChange()
	if foreign := p.obs.Foreign(backup.Running() || change.Running()); len(foreign) > 0 {
		return foreign[0], true
	}
	return ucp.Container{}, false
}

// blockedByRollout reports whether the plan is refused while replicas are being replaced.
func (p *checks) blockedByRollout() bool {
	_, atWork := p.upgradeAtWork()
	return !p.adopts() && !p.Verify && atWork || !p.Due() && len(p.obs.Versions()) > 1
}

// finishes reports whether the next hop is one that is under way already. Where its
// bootstrapper has ended, DTR's own containers must tell.
func (p *checks) finishes() bool {
	_, found := p.obs.UpgradeContainer()
	return p.adopts() || p.Due() && (found && p.obs.HalfDone() || p.Resume != nil || len(p.obs.Versions()) > 1)
}

// The attributes that name versions.
const (
	attributeTarget = "target_version"
	attributeVia    = "via"
)

// attributeOf is the attribute that names the version.
func (p *checks) attributeOf(v *semver.Version) string {
	if slices.ContainsFunc(p.o.Via, v.Equal) {
		return attributeVia
	}
	return attributeTarget
}
