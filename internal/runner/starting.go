package runner

import (
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
)

// Starting tells containers that another apply is about to start from those that
// an apply made and was killed before it started them.
type Starting struct {
	firstSeen map[string]time.Time
	limit     time.Duration
}

// NewStarting begins to watch for such containers.
func (r *Runner) NewStarting() *Starting {
	return &Starting{firstSeen: map[string]time.Time{}, limit: r.Pace.Consistent}
}

// MayBe reports whether what is known by the key may still be about to change: it
// was first seen so short a time ago.
func (s *Starting) MayBe(key string) bool {
	if _, seen := s.firstSeen[key]; !seen {
		s.firstSeen[key] = time.Now()
	}
	return time.Since(s.firstSeen[key]) < s.limit
}

// Is reports whether another apply may be about to start the container.
func (s *Starting) Is(c Container) bool {
	return c.Status == cluster.StateCreated && s.MayBe(c.ID)
}
