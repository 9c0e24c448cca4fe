package simulator

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/clock"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// passes applies the filters of the container list: of every term one value must
// match, of labels every value.
func (c *ctr) passes(filter map[string][]string) bool {
	anyOf := func(term string, f func(v string) bool) bool {
		return len(filter[term]) == 0 || slices.ContainsFunc(filter[term], f)
	}
	return c.hasLabels(filter["label"]) && anyOf("id", func(v string) bool { return strings.HasPrefix(c.id, v) }) &&
		anyOf("name", func(v string) bool { ok, _ := regexp.MatchString(v, c.name); return ok || "/"+c.name == v }) &&
		anyOf("status", func(v string) bool { return v == string(c.state) }) &&
		anyOf("ancestor", func(v string) bool { return release.NormalRef(v) == release.NormalRef(c.config.Image) }) &&
		anyOf("network", func(v string) bool { return v == string(c.host.NetworkMode) })
}

// hasLabels reports whether the container has every label, key or key=value.
func (c *ctr) hasLabels(labels []string) bool {
	return !slices.ContainsFunc(labels, func(label string) bool {
		key, value, exact := strings.Cut(label, "=")
		got, ok := c.config.Labels[key]
		return !ok || exact && got != value
	})
}

// summary is the container in a list of containers.
func (c *ctr) summary(s scope, clk clock.Clock) container.Summary {
	sum := container.Summary{
		ID: c.id, Names: []string{"/" + c.name}, Image: c.config.Image, ImageID: c.imageID,
		Command: strings.Join(c.config.Cmd, " "), Created: c.node.date(c.created).Unix(),
		Labels: c.labels(), State: c.shown(), Status: c.statusText(clk),
		Ports: []container.PortSummary{}, Mounts: []container.MountPoint{},
		NetworkSettings: &container.NetworkSettingsSummary{Networks: c.endpoints()},
	}
	sum.HostConfig.NetworkMode = cmp.Or(string(c.host.NetworkMode), "default")
	for private, public := range c.ports() {
		sum.Ports = append(sum.Ports, container.PortSummary{PrivatePort: private, PublicPort: public, Type: "tcp"})
	}
	slices.SortFunc(sum.Ports, func(a, b container.PortSummary) int { return int(a.PrivatePort) - int(b.PrivatePort) })
	if s.cluster() {
		sum.Names[0] = "/" + c.node.name + sum.Names[0]
	}
	if c.node.down {
		sum.Status = "Host Down"
	}
	return sum
}

// health is the state of the Docker health check, "" without one.
func (c *ctr) health(clk clock.Clock) container.HealthStatus {
	switch {
	case c.config.Healthcheck == nil:
		return ""
	case time.Since(c.started) < clk.Scale(nginxHealthTime):
		return container.Starting
	default:
		return container.Healthy
	}
}

// statusText is the status as docker ps shows it.
func (c *ctr) statusText(clk clock.Clock) string {
	switch c.state {
	case container.StateRunning:
		text := "Up " + ago(c.started)
		switch c.health(clk) {
		case container.Starting:
			text += " (health: starting)"
		case container.Healthy:
			text += " (healthy)"
		}
		return text
	case container.StateExited:
		return fmt.Sprintf("Exited (%d) %s ago", c.exitCode, ago(c.finished))
	case container.StateRestarting:
		return fmt.Sprintf("Restarting (%d) %s ago", c.exitCode, ago(c.finished))
	case container.StateRemoving:
		return "Removal In Progress"
	default:
		return "Created"
	}
}

// ago says how long ago t was, the way docker ps does.
func ago(t time.Time) string {
	d := time.Since(t)
	switch {
	case d < time.Second:
		return "Less than a second"
	case d < 2*time.Second:
		return "1 second"
	case d < time.Minute:
		return fmt.Sprintf("%d seconds", int(d.Seconds()))
	case d < 2*time.Minute:
		return "About a minute"
	case d < time.Hour:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	case d < 2*time.Hour:
		return "About an hour"
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
}

// inspect is the container as docker inspect shows it.
func (c *ctr) inspect(clk clock.Clock, logDriver string) container.InspectResponse {
	config, host := *c.config, *c.host
	config.Labels = c.labels()
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return "0001-01-01T00:00:00Z"
		}
		return t.UTC().Format(time.RFC3339Nano)
	}
	state := &container.State{
		Status: c.state, Running: c.runs(), Restarting: c.state == container.StateRestarting, ExitCode: c.exitCode,
		StartedAt: stamp(c.node.date(c.started)), FinishedAt: stamp(c.node.date(c.finished)),
	}
	if h := c.health(clk); h != "" && state.Running {
		state.Health = &container.Health{Status: h}
	}
	host.LogConfig.Type = cmp.Or(host.LogConfig.Type, logDriver)
	host.NetworkMode = cmp.Or(host.NetworkMode, "default")
	args := []string{}
	if len(config.Cmd) > 1 {
		args = config.Cmd[1:]
	}
	return container.InspectResponse{
		ID: c.id, RestartCount: c.restartCount, Created: stamp(c.node.date(c.created)), Args: args, State: state, Image: c.imageID,
		Name: "/" + c.name, Driver: "overlay2", Platform: "linux", HostConfig: &host,
		Mounts: []container.MountPoint{}, Config: &config,
		NetworkSettings: &container.NetworkSettings{Networks: c.endpoints()},
	}
}
