// Package cluster holds the ways to one DTR cluster and what is to be seen there:
// the inventory of containers, a snapshot with health and nodes, the proof that
// the cluster is whole at a version, and the provider's own containers, known by
// name and label.
//
// It changes nothing. It must not know upgrades, replicas' joins or content caches.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// Cluster is the way to one DTR cluster and to the UCP cluster that it runs on.
type Cluster struct {
	DTR *dtr.Client
	UCP *ucp.Client
	// Login is what the bootstrapper is given to reach UCP with. An empty CA
	// means: ask UCP for its own, once the connection to it is verified.
	Login bootstrap.UCP
	// Docker is the engine that runs the bootstrapper; nil runs it through UCP,
	// on the node of the replica that it connects to.
	Docker *Docker
	// NetworkMode is the network mode of the bootstrapper's container; "" is
	// the engine's default.
	NetworkMode string
}

// Docker is an engine that is connected to at its first use.
type Docker struct {
	config ucp.DockerConfig

	mu     sync.Mutex
	engine *ucp.Engine
}

// NewDocker makes the way to an engine. It makes no network call.
func NewDocker(c ucp.DockerConfig) *Docker { return &Docker{config: c} }

// Engine is the engine. One that could not be connected to is tried again by the
// next call.
func (d *Docker) Engine(ctx context.Context) (*ucp.Engine, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.engine == nil {
		engine, err := ucp.NewEngine(ctx, d.config)
		if err != nil {
			return nil, err
		}
		d.engine = engine
	}
	return d.engine, nil
}

// BootstrapEngine is the engine that runs the bootstrapper.
func (c Cluster) BootstrapEngine(ctx context.Context) (*ucp.Engine, error) {
	if c.Docker == nil {
		return c.UCP.Engine(ctx)
	}
	return c.Docker.Engine(ctx)
}

// BootstrapNode is where UCP is to place a bootstrapper that connects to the
// replica: on its node, and on none where another engine runs it.
func (c Cluster) BootstrapNode(r Replica) string {
	if c.Docker != nil {
		return ""
	}
	return r.Node
}

// Ping asks DTR's external address for its health. Which path it answers on
// depends on the version, which may be about to change.
func (c Cluster) Ping(ctx context.Context) error {
	answer, err := c.DTR.Ping(ctx, dtr.DefaultPingPath)
	var api *dtr.APIError
	if errors.As(err, &api) && api.StatusCode == http.StatusNotFound {
		answer, err = c.DTR.Ping(ctx, dtr.HealthPath)
	}
	switch {
	case err != nil:
		return err
	case !answer.Healthy:
		return fmt.Errorf("not healthy: %s", answer.Error)
	}
	return nil
}

// ExternalHost is DTR's external host. The address that DTR was asked at stands in
// for one that is not set.
func (c Cluster) ExternalHost(settings dtr.Settings) string {
	return externalHost(c.DTR.URL(), settings)
}

func externalHost(address string, settings dtr.Settings) string {
	if settings.DTRHost != "" {
		return settings.DTRHost
	}
	_, host, _ := strings.Cut(address, "://")
	return host
}

// CheckHost refuses another external host than the one that is wanted; "" wants
// any. The error is an *OtherClusterError.
func CheckHost(want, host string) error {
	if want != "" && !strings.EqualFold(want, host) {
		return &OtherClusterError{Want: want, Got: host}
	}
	return nil
}

// OtherClusterError says that another cluster answers than the one that was meant.
type OtherClusterError struct{ Want, Got string }

func (e *OtherClusterError) Error() string {
	return fmt.Sprintf("this is DTR at %s, not at %s", e.Got, e.Want)
}
