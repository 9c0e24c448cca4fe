package bootstrap

import (
	"slices"
	"strings"
)

// Failure is why a run of the bootstrapper failed, as far as its records tell.
type Failure struct {
	Message string // the record that says so
	Cause   string // in a sentence; empty when it is unknown
	Remedy  string // what to do, in a sentence; empty when it is unknown
}

// knownFailure is a failure whose cause is known. All the texts must be in one
// record, in whatever case.
type knownFailure struct {
	texts         []string
	cause, remedy string
}

const (
	databaseNotReady = "DTR's database did not become ready in time."
	restartNodes     = "Restart the nodes that run DTR one at a time, and wait until every replica is healthy."
	unsignedImage    = "UCP runs signed images only, and it refused one of DTR's."
	allowUnsigned    = "Turn the requirement of signed images off in UCP for the time of the upgrade."
)

var knownFailures = []knownFailure{
	{
		texts: []string{"failed to wait for rethink to be healthy"},
		cause: databaseNotReady, remedy: restartNodes,
	},
	{
		texts: []string{"timed out while waiting for tables"},
		cause: databaseNotReady, remedy: restartNodes,
	},
	{
		texts:  []string{"failed to pick existing replica", "connection reset by peer"},
		cause:  "The connection between the bootstrapper and UCP broke.",
		remedy: "Check that the node that runs the bootstrapper reaches UCP, and that no proxy in between closes connections.",
	},
	{
		texts:  []string{"could not find any nodes on which the container could be created"},
		cause:  "UCP does not let administrators run containers on the nodes of DTR.",
		remedy: "Allow it in UCP's scheduler settings.",
	},
	{
		texts:  []string{"unable to find a node that satisfies", "port"},
		cause:  "No node is left on which the ports of a replica, 80 and 443 unless it has others, are free.",
		remedy: "Stop what listens on these ports of the replica's node, and make sure that the node is up and takes containers of administrators.",
	},
	{
		texts:  []string{"this dtr has replicas that are not working correctly"},
		cause:  "The bootstrapper changes no cluster that has a replica which does not work.",
		remedy: "Bring that replica back to health, or remove it from the cluster with the remove command of DTR's image.",
	},
	{
		texts:  []string{"tagmigration has not completed"},
		cause:  "A migration that an earlier upgrade began is unfinished. 2.6.13 and later do without it.",
		remedy: "Wait for the job tagmigration to finish, or run it again.",
	},
	{
		texts:  []string{"database files are incompatible with server"},
		cause:  "The vulnerability scanner's database was written by an older PostgreSQL than the one that now runs.",
		remedy: "Remove the container dtr-scanningstore of that replica and its volume dtr-postgres, reconfigure DTR, and download the vulnerability database again.",
	},
	{texts: []string{"required signing policy"}, cause: unsignedImage, remedy: allowUnsigned},
	{texts: []string{"trust data does not exist"}, cause: unsignedImage, remedy: allowUnsigned},
	{texts: []string{"no valid trust data"}, cause: unsignedImage, remedy: allowUnsigned},
	{texts: []string{"image", "not signed"}, cause: unsignedImage, remedy: allowUnsigned},
	{texts: []string{"signature", "refused"}, cause: unsignedImage, remedy: allowUnsigned},
}

// Diagnose looks in the records of a run that has failed for what it failed of.
// The latest known failure counts; info and debug records do not. Where none is
// known, the result is false and the failure has the last fatal message alone,
// or, failing that, the last error's.
func Diagnose(records []Record) (Failure, bool) {
	for _, r := range slices.Backward(records) {
		switch r.Level {
		case "info", "debug", "trace":
			continue
		}
		text := r.text()
		for _, k := range knownFailures {
			if k.matches(strings.ToLower(text)) {
				return Failure{Message: text, Cause: k.cause, Remedy: k.remedy}, true
			}
		}
	}
	var f Failure
	for _, r := range slices.Backward(records) {
		switch {
		case r.Level == "fatal" || r.Level == "panic":
			return Failure{Message: r.text()}, false
		case r.Level == "error" && f.Message == "":
			f.Message = r.text()
		}
	}
	return f, false
}

func (k knownFailure) matches(text string) bool {
	for _, t := range k.texts {
		if !strings.Contains(text, t) {
			return false
		}
	}
	return true
}
