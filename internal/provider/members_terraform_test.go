//go:build unix

package provider

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/terraformtest"
)

// TestTerraformReplicaThatIsGone follows what an error says of a replica that DTR lists
// and that has no containers, by its text alone.
func TestTerraformReplicaThatIsGone(t *testing.T) {
	t.Parallel()
	cluster := simulatortest.Start(t, simulatortest.Weathered(simulator.Options{
		Version: "2.6.8", Host: host, Workers: 6, Unlisted: []simulator.UnlistedReplica{}, // whose warning names a node, too
	}))
	gone := cluster.ReplicaIDs()[2]
	removeContainers(t, cluster, gone)
	p := newProcess(t)
	p.connect(cluster)
	upgrade := terraformtest.RequiredProviders + connectionConfig + "\nresource \"dtr_upgrade\" \"this\" {\n  target_version = \"2.6.9\"\n}\n"
	p.write(upgrade)

	out, err := p.command("plan").CombinedOutput()
	text := strings.Join(strings.Fields(strings.ReplaceAll(string(out), "│", " ")), " ")
	if err == nil || !strings.Contains(text, "UCP shows no container of replica "+gone) || strings.Contains(text, "skip_checks") {
		t.Fatalf("%v\n%s", err, out)
	}
	resource := regexp.MustCompile(`write a resource "dtr_replica" "(\w+)" with node set to its node`).FindStringSubmatch(text)
	node := regexp.MustCompile(`on node (\w+)`).FindStringSubmatch(text)
	imports := regexp.MustCompile(`terraform import (\S+) ([0-9a-f]{12})`).FindStringSubmatch(text)
	destroy := regexp.MustCompile(`terraform destroy (-target=[\w.]+)`).FindStringSubmatch(text)
	if resource == nil || node == nil || imports == nil || destroy == nil {
		t.Fatalf("the way out is not named:\n%s", out)
	}
	p.write(upgrade + replicaOn(resource[1], node[1]))
	imported := p.command("import")
	imported.Args = append(imported.Args, imports[1:]...) // behind the flags
	for _, cmd := range []*exec.Cmd{imported, p.command("destroy", destroy[1], "-auto-approve")} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
	}
	p.write(upgrade)
	p.apply()
	wantNodes(t, cluster, "worker1", "worker2")
	runs(t, cluster, "2.6.9")
}
