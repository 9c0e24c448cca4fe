// Package cluster reads the state of one DTR cluster through DTR, UCP and the Docker
// Engine: the inventory of containers, a snapshot with health and nodes, and the
// provider's own containers, known by name and label. It verifies that every
// container runs a version and is healthy.
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

// Cluster holds the clients of one DTR cluster and of the UCP cluster that runs it.
type Cluster struct {
	DTR *dtr.Client
	UCP *ucp.Client
	// Login is the address, credentials and CA with which the bootstrapper connects to
	// UCP. If the CA is empty, it is read from UCP over a verified connection.
	Login bootstrap.UCP
	// Docker is the engine that runs the bootstrapper; nil runs it through UCP, on the
	// node of the replica that it connects to.
	Docker *Docker
	// NetworkMode is the network mode of the bootstrapper's container; "" is the
	// engine's default.
	NetworkMode string
	// Mirror is the repository that the bootstrapper's image is configured to come
	// from, "" for the vendor's: bootstrappers of others may come from there, too.
	Mirror string
}

// Docker is a Docker Engine, to which the first use connects.
type Docker struct {
	config ucp.DockerConfig

	mu     sync.Mutex
	engine *ucp.Engine
}

// NewDocker returns the engine of a configuration. It makes no network call.
func NewDocker(c ucp.DockerConfig) *Docker { return &Docker{config: c} }

// Engine returns the engine's client. If the connection fails, the next call tries
// again.
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

// BootstrapNode is the node on which UCP places a bootstrapper that connects to the
// replica: the replica's own, and "" if another engine runs the bootstrapper.
func (c Cluster) BootstrapNode(r Replica) string {
	if c.Docker != nil {
		return ""
	}
	return r.Node
}

// Ping asks DTR's external address for its health. Which path it answers on
// depends on the version, which may be about to change. The error of an answer
// that a replica is not healthy is an *UnhealthyError.
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
		return &UnhealthyError{answer.Error}
	}
	return nil
}

// UnhealthyError is what a replica that answered for DTR says against its health.
type UnhealthyError struct{ Reason string }

func (e *UnhealthyError) Error() string { return "not healthy: " + e.Reason }

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

// CheckHost returns an *OtherClusterError if the external host is not the wanted
// one; "" accepts any.
func CheckHost(want, host string) error {
	if want != "" && !strings.EqualFold(want, host) {
		return &OtherClusterError{Want: want, Got: host}
	}
	return nil
}

// OtherClusterError says that the address leads to another cluster than expected.
type OtherClusterError struct{ Want, Got string }

func (e *OtherClusterError) Error() string {
	return fmt.Sprintf("this is DTR at %s, not at %s", e.Got, e.Want)
}
