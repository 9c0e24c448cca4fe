package simulator

import (
	"sync"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

// BootstrapperFaults say how bootstrappers go wrong, all of them until
// [Cluster.SetBootstrapper] is called again.
type BootstrapperFaults = standin.Faults

// bootstrappers hold how the bootstrappers of simulated engines go wrong.
type bootstrappers struct {
	mu sync.Mutex
	f  BootstrapperFaults
}

// SetBootstrapper sets how bootstrappers go wrong from now on, those that run
// included.
func (b *bootstrappers) SetBootstrapper(f BootstrapperFaults) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.f = f
}

func (b *bootstrappers) faults() BootstrapperFaults {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.f
}
