package upgrade

import (
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// TestNoSuccessBesideABootstrapperOnAnotherEngine has the bootstrapper of one apply be on an
// engine of its own. It has replaced all containers, has not ended, and is about to fail.
// Another apply, through UCP, is kept out by the name in UCP: it must not say before that
// end that the upgrade is done. The one that is reached shows its failure to both.
func TestNoSuccessBesideABootstrapperOnAnotherEngine(t *testing.T) {
	t.Parallel()
	for name, reached := range map[string]bool{"the bootstrapper is reached": true, "on an engine of its own": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			elsewhere, _ := clustertest.Start(t, "2.5.6")
			elsewhere.AddBundle("2.6.15")
			other, engine := c, sim
			if !reached {
				other.Docker, engine = cluster.NewDocker(ucp.DockerConfig{Host: elsewhere.DockerHost()}), elsewhere
			}
			three := 3
			engine.SetBootstrapper(simulator.BootstrapperFaults{ExitStatus: &three})
			release := engine.Hold(simulator.BootstrapperFinished)
			defer release()
			first := make(chan error, 1)
			go func() { first <- clustertest.Second(Run(clustertest.Limited(t), other, to("2.6.15"))) }()
			<-engine.Reached(simulator.BootstrapperFinished)
			clustertest.WantAt(t, sim, "2.6.15")
			sim.ResetRequests()
			second := make(chan error, 1)
			go func() { second <- clustertest.Second(Run(clustertest.Limited(t), c, to("2.6.15"))) }()
			select {
			case err := <-second:
				t.Errorf("the other apply has ended beside the bootstrapper: error %v", err)
				release()
			case <-clustertest.Requested(t, sim, 40, "/json"):
				release()
				// Through UCP nobody sees the exit status of a container on another engine.
				if err := <-second; (err == nil) == reached {
					t.Errorf("the other apply: %v", err)
				}
			}
			_ = clustertest.AsError[*runner.BootstrapperError](t, <-first)
		})
	}
}
