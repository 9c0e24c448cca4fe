package bootstrap

import (
	"strings"
	"testing"
)

func records(lines ...string) []Record {
	var list []Record
	for _, line := range lines {
		list = append(list, ParseRecord(line))
	}
	return list
}

const (
	failed   = `level=error msg="Upgrade has failed. Try running it again."`
	phase2   = `level=fatal msg="Failed to execute phase2: Phase 2 returned non-zero status: 1"`
	phase2OK = "Failed to execute phase2: Phase 2 returned non-zero status: 1"
)

func TestDiagnose(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                   string
		lines                  []string
		message, cause, remedy string // parts of the texts
	}{
		{
			"database not healthy",
			[]string{`level=fatal msg="failed to wait for rethink to be healthy"`, failed, phase2},
			"failed to wait for rethink to be healthy", "database did not become ready", "one at a time",
		},
		{
			"tables",
			[]string{failed, `level=fatal msg="Failed to migrate: Timed out while waiting for tables to be ready"`},
			"Failed to migrate: Timed out while waiting for tables to be ready", "database did not become ready", "one at a time",
		},
		{
			"UCP connection",
			[]string{`level=fatal msg="Failed to pick existing replica: Get https://ucp.example.com: read: connection reset by peer"`},
			"Failed to pick existing replica", "connection between the bootstrapper and UCP", "reaches UCP",
		},
		{
			"scheduling",
			[]string{`level=fatal msg="Could not find any nodes on which the container could be created"`},
			"Could not find any nodes", "does not let administrators", "scheduler settings",
		},
		{
			"ports taken",
			[]string{`level=fatal msg="Unable to find a node that satisfies the following conditions [port 443 (Bridge mode), port 80 (Bridge mode)] [available container slots]"`},
			"Unable to find a node that satisfies", "80 and 443", "Stop what listens on these ports",
		},
		{
			"sick replicas",
			[]string{`level=fatal msg="This DTR has replicas that are not working correctly. Replicas: 0123456789ab"`},
			"not working correctly", "has a replica which does not work", "remove command of DTR's image",
		},
		{
			"earlier migration",
			[]string{`level=error msg="failed to migrate blob links: tagmigration has not completed"`, phase2},
			"tagmigration has not completed", "unfinished", "tagmigration",
		},
		{
			"PostgreSQL, from the container's own output",
			[]string{"FATAL:  database files are incompatible with server", phase2},
			"FATAL:  database files are incompatible with server", "older PostgreSQL", "dtr-postgres",
		},
		{
			"signature",
			[]string{`level=fatal msg="Image did not meet required signing policy"`},
			"signing policy", "signed images only", "Turn the requirement of signed images off",
		},
		{
			"signature, other words",
			[]string{`level=fatal msg="image signature refused by UCP"`},
			"signature refused", "signed images only", "Turn the requirement of signed images off",
		},
		{
			"trust data",
			[]string{`level=error msg="cannot create" error="remote trust data does not exist for docker.io/docker/dtr-api"`, phase2},
			"cannot create error=remote trust data does not exist", "signed images only", "Turn the requirement of signed images off",
		},
		{
			"the latest counts",
			[]string{
				`level=error msg="failed to wait for rethink to be healthy"`,
				`level=fatal msg="could not find any nodes on which the container could be created"`,
			},
			"could not find any nodes", "does not let administrators", "scheduler settings",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := Diagnose(records(tt.lines...))
			if !ok {
				t.Fatalf("not known: %+v", got)
			}
			if !strings.Contains(got.Message, tt.message) {
				t.Errorf("message %q", got.Message)
			}
			if !strings.Contains(got.Cause, tt.cause) {
				t.Errorf("cause %q", got.Cause)
			}
			if !strings.Contains(got.Remedy, tt.remedy) {
				t.Errorf("remedy %q", got.Remedy)
			}
		})
	}
}

func TestDiagnoseUnknown(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		lines []string
		want  string
	}{
		{"nothing", nil, ""},
		{"no failure", []string{`level=info msg=fine`, "plain"}, ""},
		{"fatal", []string{`level=info msg=fine`, failed, phase2}, phase2OK},
		{"fatal before an error", []string{phase2, failed}, phase2OK},
		{"last fatal", []string{`level=fatal msg=first`, `level=panic msg=last code=1`}, "last code=1"},
		{"last error", []string{`level=error msg=first`, `level=error msg=last`, `level=warning msg=later`}, "last"},
		{"information only", []string{`level=info msg="Searching: could not find any nodes on which the container could be created"`}, ""},
		{"no node, for another reason", []string{`level=fatal msg="Unable to find a node that satisfies the following conditions [healthiness]"`}, "Unable to find a node that satisfies the following conditions [healthiness]"},
		{"half of the texts", []string{`level=fatal msg="Failed to pick existing replica"`}, "Failed to pick existing replica"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := Diagnose(records(tt.lines...))
			if ok || got.Cause != "" || got.Remedy != "" {
				t.Errorf("known: %+v", got)
			}
			if got.Message != tt.want {
				t.Errorf("message %q, want %q", got.Message, tt.want)
			}
		})
	}
}

func TestKnownFailuresAreComplete(t *testing.T) {
	t.Parallel()
	for _, k := range knownFailures {
		for _, text := range k.texts {
			if text != strings.ToLower(text) || text == "" {
				t.Errorf("%q is compared in lower case", text)
			}
		}
		if len(k.texts) == 0 || !strings.HasSuffix(k.cause, ".") || !strings.HasSuffix(k.remedy, ".") {
			t.Errorf("incomplete: %+v", k)
		}
	}
}
