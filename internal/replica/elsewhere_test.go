package replica

import (
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// TestNoRemovalBesideABootstrapperOnAnotherEngine has the bootstrapper of a removal be on an
// engine of its own. It has removed the replica, and has not ended. Another apply that is to
// remove the replica must not say before that end that this is done.
func TestNoRemovalBesideABootstrapperOnAnotherEngine(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Roomy(t, 3)
	elsewhere, _ := clustertest.Roomy(t, 3)
	elsewhere.AddImage("docker/dtr:2.6.8")
	other := c
	other.Docker = cluster.NewDocker(ucp.DockerConfig{Host: elsewhere.DockerHost()})
	release := elsewhere.Hold(simulator.BootstrapperFinished)
	defer release()
	id := sim.ReplicaIDs()[2]
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- Remove(clustertest.Limited(t), other, without(id)) }()
	<-elsewhere.Reached(simulator.BootstrapperFinished)
	sim.ResetRequests()
	go func() { second <- Remove(clustertest.Limited(t), c, without(id)) }()
	select {
	case err := <-second:
		t.Errorf("it has ended beside the bootstrapper: error %v", err)
		release()
	case <-clustertest.Requested(t, sim, 100, "/json"):
		release()
		if err := <-second; err != nil {
			t.Error(err)
		}
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
}
