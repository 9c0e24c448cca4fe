//go:build e2e && linux

package e2e_test

import (
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// ucpEngine is a client of UCP, for what an administrator does by hand.
func ucpEngine(t *testing.T, c *simulator.Cluster) *ucp.Engine {
	t.Helper()
	client, err := ucp.New(ucp.Config{URL: c.UCPURL(), Username: c.Username(), Password: c.Password(), CACert: c.CACert()})
	if err != nil {
		t.Fatal(err)
	}
	e, err := client.Engine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Without a registry the images come in a bundle, which is loaded through UCP
// on all nodes.
func TestOffline(t *testing.T) {
	const repository = "registry.example.com/dtr/dtr"
	c := lagging(t, "2.6.14", "2.6.15", "scanningstore")
	w := newStage(t, c, settings{Target: "2.6.15", Repository: repository, Pull: "never"})
	w.wantRefused(t, repository+":2.6.15")

	r, pipe := io.Pipe()
	go func() { _ = pipe.CloseWithError(engines.WriteBundle(pipe, repository, "2.6.15")) }()
	if err := ucpEngine(t, c).Load(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	engines.SetRegistryDown(true)
	t.Cleanup(func() { engines.SetRegistryDown(false) })
	w.mustApply(t)
	wantVersionOf(t, repository, "2.6.15", "scanningstore")
	w.wantNoChanges(t)
	for _, r := range c.Requests() {
		if r.Path != "" && strings.HasSuffix(r.Path, "/images/create") {
			t.Errorf("a pull: %+v", r)
		}
	}
}

// The engine's log driver cuts long lines into pieces, and a last line may have
// no end.
func TestLongAndUnfinishedLines(t *testing.T) {
	c := lagging(t, "2.6.14", "2.6.15", "scanningstore")
	repository, _, err := engines.Publish(t.Context(), "chatty/dtr", "2.6.15",
		standin.EnvFaults+`={"LongLine": 200000, "DieAtReplica": -1, "Unfinished": true}`)
	if err != nil {
		t.Fatal(err)
	}
	w := newStage(t, c, settings{Target: "2.6.15", Repository: repository})
	err = w.apply(t.Context())
	if err == nil {
		t.Fatal("the apply ended well")
	}
	if !strings.Contains(err.Error(), "the last words of the bootstrapper") {
		t.Errorf("the error does not have the line without an end:\n%s", tail(err.Error(), 5))
	}
	records := longRecord.FindAllString(w.log(t), -1)
	if len(records) != 1 || len(records[0]) > 5<<10 {
		t.Errorf("the provider's log has the long record %d times: %.200q", len(records), records)
	}
}

// longRecord is a line of the provider's log with the long record, cut.
var longRecord = regexp.MustCompile(`(?m)^.*Bootstrapper: x{100,}.*$`)
