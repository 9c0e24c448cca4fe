package runner

import (
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
)

// Starting tells apart two kinds of containers that were created and not started:
// those that another apply is about to start, and those of an apply that was killed
// before it could.
type Starting struct {
	firstSeen map[string]time.Time
	limit     time.Duration
}

// NewStarting returns a Starting that has seen no container yet.
func (r *Runner) NewStarting() *Starting {
	return &Starting{firstSeen: map[string]time.Time{}, limit: r.Pace.Consistent}
}

// MayBe reports whether another apply may still be about to change what the key
// names. That holds for Pace.Consistent from the first call with this key.
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
