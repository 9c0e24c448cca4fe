package runner

import (
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
)

// Starting tells apart two kinds of containers that wait for the apply that made them:
// those that it is about to start, or to rename, and those of an apply that was killed
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

// Is reports whether another apply may be about to start the container, or to give a
// backup that has ended the name of its record.
func (s *Starting) Is(c Container) bool {
	switch {
	case c.Status == cluster.StateCreated:
		return s.MayBe(c.ID)
	case cluster.IsBackup(c.Labels) && !c.Running():
		return s.MayBe(c.ID + c.Status)
	}
	return false
}
