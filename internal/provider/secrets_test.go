package provider

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-log/tflogtest"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

// TestSecretsStayAway runs an upgrade that fails, one that succeeds and a wrong
// password, and looks for the password in all that comes out.
func TestSecretsStayAway(t *testing.T) {
	t.Parallel()
	const username, password, wrong = "administrator", "correct-horse-battery", "wrong-horse-battery"
	cluster := simulatortest.Start(t, simulatortest.Weathered(simulator.Options{Version: "2.5.6", Host: host, Username: username, Password: password}))
	var out clustertest.Log
	p := newProtocol(t, append(quick(), brief())...)
	p.ctx = tflogtest.RootLogger(p.ctx, &out)
	p.ok(nil, p.configure(connected(cluster)))
	note := func(a applied) applied {
		fmt.Fprintf(&out, "%s\n", render(a.diags))
		if a.raw != nil {
			fmt.Fprintf(&out, "%s\n", a.raw.MsgPack)
		}
		return a
	}

	config := values{"target_version": "2.6.15"}
	planned := p.plan(nil, config)
	fmt.Fprintf(&out, "%s\n%s\n%s\n", render(planned.diags), planned.raw.PlannedState.MsgPack, planned.raw.PlannedPrivate)
	cluster.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: 2, FatalRecord: "cannot log in with " + password})
	expect(t, note(p.apply(nil, config)).diags, "Error: The DTR bootstrapper failed\n")
	cluster.SetBootstrapper(simulator.BootstrapperFaults{})
	release := cluster.Hold(simulator.BootstrapperFinished)
	go func() {
		defer release()
		<-cluster.Reached(simulator.BootstrapperFinished)
		for _, c := range cluster.Containers() {
			fmt.Fprintf(&out, "%s %s %v\n", c.Name, c.Args, c.Labels)
		}
	}()
	done := note(p.apply(nil, config))
	expect(t, done.diags, "")
	note(p.read(done.values()))
	note(p.importState(host))

	p = newProtocol(t, append(quick(), brief())...)
	p.ctx = tflogtest.RootLogger(p.ctx, &out)
	refused := connected(cluster)
	refused["password"] = wrong
	p.ok(nil, p.configure(refused))
	expect(t, note(p.read(done.values())).diags, "Error: DTR refuses the user name or the password\n")

	said := out.String()
	for _, secret := range []string{
		password, wrong,
		base64.StdEncoding.EncodeToString([]byte(username + ":" + password)),
		base64.StdEncoding.EncodeToString([]byte(username + ":" + wrong)),
		"Bearer ",
	} {
		if i := strings.Index(said, secret); i >= 0 {
			t.Errorf("%q is in: %s", secret, said[max(0, i-200):min(len(said), i+200)])
		}
	}
	if !strings.Contains(said, " is started") {
		t.Error("the log was not read")
	}
}

// TestBootstrapperTellsThePassword holds that what the bootstrapper writes does
// not bring the password into a diagnostic.
func TestBootstrapperTellsThePassword(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.5.6")
	cluster.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: 2, FatalRecord: "cannot log in with " + cluster.Password()})
	failed := planner(t, cluster).apply(nil, values{"target_version": "2.6.15"})
	expect(t, failed.diags, "Message: cannot log in with ***\n")
	if text := render(failed.diags); strings.Contains(text, cluster.Password()) {
		t.Error(text)
	}
}
