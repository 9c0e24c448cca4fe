// Package preflight names the checks that are made before anything on a cluster is
// changed, and holds what they find.
//
// It is a leaf: the checks themselves belong to the packages that make the change,
// and it must not import any of this project.
package preflight

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Check names one preflight check. The names are part of the provider's
// surface: skip_checks lists them.
type Check string

// The preflight checks.
const (
	Transition        Check = "transition"
	MixedVersions     Check = "mixed-versions"
	ForeignUpgrade    Check = "foreign-upgrade"
	PendingMigration  Check = "pending-migration"
	ReplicaHealth     Check = "replica-health"
	ReplicaCount      Check = "replica-count"
	GarbageCollection Check = "garbage-collection"
	Memory            Check = "memory"
	Image             Check = "image"
	ContentTrust      Check = "content-trust"
	UCPVersion        Check = "ucp-version"
	EngineVersion     Check = "engine-version"
	Backup            Check = "backup"
	ReleaseAdvisory   Check = "release-advisory"
	Window            Check = "maintenance-window"
	Unfinished        Check = "unfinished-work"
	Node              Check = "node" // of a replica that is to join
	LeftOver          Check = "left-over-containers"
	Address           Check = "dtr-address"
)

// Follow-ups are reported after a run, in the form of findings.
const (
	FollowUp             Check = "follow-up" // what an upgrade of DTR does not upgrade
	FollowUpContentCache Check = "content-cache"
	FollowUpInterruption Check = "interruption"
)

// Skippable are the checks that skip_checks may turn into warnings.
func Skippable() []Check {
	return []Check{ReplicaHealth, GarbageCollection, Memory, Image, ContentTrust}
}

// Severity tells whether a finding stops the run.
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
	Attribute string // of the resource, as Terraform's language writes it; "" when changing none would help

	Summary string // a phrase without a full stop
	Seen    string // what was observed, with values
	Todo    string // what to do about it on the cluster; "" where the advice says all

	// Advice are the ways out that Terraform's configuration offers.
	Advice []Advice
	// Err is the refusal that the finding reports, in place of texts; nil for most.
	Err error
}

// Advice is a way out that lies in the configuration. What it is called there is
// the caller's business.
type Advice struct {
	Kind  AdviceKind
	Value string // a version, the name of a check or the path of a file, by its kind
}

// AdviceKind is a kind of advice.
type AdviceKind int

// The kinds of advice.
const (
	SkipCheck       AdviceKind = iota // the check Value
	UpgradeTo                         // the version Value first
	RepeatMigration                   // of the version Value, which runs
	FinishUpgrade                     // that is under way, before anything else
	OrderResources                    // of the two resources whose work meets on the cluster
	RunElsewhere                      // run the bootstrapper on another node or engine
	ForgetReplica                     // without removing it
	ImportReplica                     // with the id Value
	ReplaceReplica                    // by removing it before another one joins
	RemoveReplica                     // with the id Value, which is not in the configuration, by importing it first
	AddBackup
	AddArchive       // of the version Value
	UseRepository    // Value, for the images
	RaiseTimeLimit   // of the apply
	FollowVersion    // of the upgrade, by a reference
	FollowByResource // with the content caches and the vulnerability database
)

// Findings are all that was found, in the order of the checks.
type Findings []Finding

// Errors are the findings that stop the run.
func (f Findings) Errors() Findings {
	return slices.DeleteFunc(slices.Clone(f), func(x Finding) bool { return x.Severity != Error })
}

// FailedError stops a run before anything is touched.
type FailedError struct {
	Findings Findings // warnings among them
}

func (e *FailedError) Error() string {
	var summaries []string
	for _, f := range e.Findings.Errors() {
		if f.Err != nil {
			summaries = append(summaries, f.Err.Error())
		} else {
			summaries = append(summaries, f.Summary)
		}
	}
	return "preflight: " + strings.Join(summaries, "; ")
}

// Sentence makes an error's text a sentence. The operation of a file's error is left
// out: "Open x" reads as an instruction.
func Sentence(err error) string {
	if file, ok := err.(*fs.PathError); ok { //nolint:errorlint // what wraps it has a beginning of its own
		return fmt.Sprintf("%s: %v.", file.Path, file.Err)
	}
	return Capital(strings.TrimSuffix(err.Error(), ".")) + "."
}

// Capital begins a text with a capital letter, unless its first word is no plain
// word: an address, or an attribute.
func Capital(text string) string {
	first, _, _ := strings.Cut(text, " ")
	if text == "" || strings.ContainsAny(strings.TrimSuffix(first, "."), "._:/") {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
