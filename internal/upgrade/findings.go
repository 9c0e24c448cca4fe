package upgrade

import "slices"

// Check names one preflight check. The names are part of the provider's
// surface: skip_checks lists them.
type Check string

// The preflight checks.
const (
	CheckTransition        Check = "transition"
	CheckMixedVersions     Check = "mixed-versions"
	CheckForeignUpgrade    Check = "foreign-upgrade"
	CheckPendingMigration  Check = "pending-migration"
	CheckReplicaHealth     Check = "replica-health"
	CheckReplicaCount      Check = "replica-count"
	CheckGarbageCollection Check = "garbage-collection"
	CheckMemory            Check = "memory"
	CheckImage             Check = "image"
	CheckContentTrust      Check = "content-trust"
	CheckUCPVersion        Check = "ucp-version"
	CheckEngineVersion     Check = "engine-version"
	CheckBackup            Check = "backup"
	CheckReleaseAdvisory   Check = "release-advisory"
	CheckWindow            Check = "maintenance-window"
	CheckNode              Check = "node" // of a replica that is to join
)

// Follow-ups are reported after a run, in the form of findings.
const (
	FollowUpContentCache          Check = "content-cache"
	FollowUpVulnerabilityDatabase Check = "vulnerability-database"
	FollowUpInterruption          Check = "interruption"
)

// SkippableChecks are the checks that skip_checks may turn into warnings.
func SkippableChecks() []Check {
	return []Check{CheckReplicaHealth, CheckGarbageCollection, CheckMemory, CheckImage, CheckContentTrust}
}

// Severity says whether a finding stops the run.
type Severity int

// The severities.
const (
	Warning Severity = iota
	Error
)

// Finding is one thing that a check found.
type Finding struct {
	Check     Check
	Severity  Severity
	Attribute string // the attribute of dtr_upgrade to change, as its language writes it; "" when none would help
	Summary   string
	Detail    string // what was seen; an empty line; what to do
}

// Findings are all that was found, in the order of the checks.
type Findings []Finding

// Errors are the findings that stop the run.
func (f Findings) Errors() Findings { return f.with(Error) }

// Warnings are the findings that do not.
func (f Findings) Warnings() Findings { return f.with(Warning) }

func (f Findings) with(s Severity) Findings {
	return slices.DeleteFunc(slices.Clone(f), func(x Finding) bool { return x.Severity != s })
}
