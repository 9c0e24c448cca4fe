package ucp

// Running reports whether the container is at work, or about to be again.
func (c Container) Running() bool { return running(c.State) }

// Running reports whether the container is at work, or about to be again.
func (s ContainerState) Running() bool { return running(s.Status) }

func running(state string) bool {
	return state == "running" || state == "restarting" || state == "paused"
}
