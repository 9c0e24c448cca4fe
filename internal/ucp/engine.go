package ucp

import (
	"context"
	"strings"

	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// Engine is the Docker Engine API, 1.30 (Engine 17.06) to the newest. It is safe for concurrent use.
// cerrdefs.IsNotFound, IsConflict and IsUnauthorized hold for the errors of its methods.
type Engine struct{ connection *connection }

// Memory is all the memory of the engine's machine, in bytes.
func (e *Engine) Memory(ctx context.Context) (bytes int64, err error) {
	info, err := e.info(ctx)
	return info.MemTotal, err
}

// ID tells the engine from others: its ID and the name of its machine, "" if it has no ID.
func (e *Engine) ID(ctx context.Context) (string, error) {
	info, err := e.info(ctx)
	if err != nil || info.ID == "" {
		return "", err
	}
	return scrub.Line(info.ID + " " + info.Name), nil
}

func (e *Engine) info(ctx context.Context) (system.Info, error) {
	r, err := call(ctx, e.connection, callLimit, "read its description", func(ctx context.Context, c *client.Client) (client.SystemInfoResult, error) {
		return c.Info(ctx, client.InfoOptions{})
	})
	return r.Info, err
}

// Names of components in the answer to /version.
const (
	engineComponent = "Engine"
	ucpComponent    = "Universal Control Plane"
	// UCP gives its own version as the engine's, behind this.
	ucpPrefix = "ucp/"
)

// Version tells the versions of the engine and of UCP.
func (e *Engine) Version(ctx context.Context) (Version, error) {
	r, err := call(ctx, e.connection, callLimit, "read its version", func(ctx context.Context, c *client.Client) (client.ServerVersionResult, error) {
		return c.ServerVersion(ctx, client.ServerVersionOptions{})
	})
	if err != nil {
		return Version{}, err
	}
	var v Version
	if ucp, ok := strings.CutPrefix(r.Version, ucpPrefix); ok {
		v.UCP = scrub.Line(ucp)
	} else {
		v.Engine = scrub.Line(r.Version)
	}
	for _, c := range r.Components {
		switch c.Name {
		case ucpComponent:
			v.UCP = scrub.Line(c.Version)
		case engineComponent:
			v.Engine = scrub.Line(c.Version)
		}
	}
	return v, nil
}
