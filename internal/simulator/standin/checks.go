package standin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// checks are what phase 1 looks at before anything is changed.
type checks struct{ *bootstrapper }

// run refuses a cluster that the command cannot work on. It returns the nodes that
// containers will be created on.
func (c checks) run(ctx context.Context, replicas []replica) (nodes []string, err error) {
	switch c.command {
	case CommandJoin:
		return []string{c.options.node}, c.join(ctx, replicas)
	case CommandRemove:
		return nil, c.remove(replicas)
	}
	for _, r := range replicas {
		nodes = append(nodes, r.node)
	}
	return nodes, c.versions(replicas)
}

// join requires that the new replica will run the cluster's version, on a node
// of its own, beside healthy replicas.
func (c checks) join(ctx context.Context, replicas []replica) error {
	o := &c.options
	if o.replica == "" {
		o.replica = randomReplicaID()
	}
	if !release.IsReplicaID(o.replica) {
		return fmt.Errorf("Invalid replica ID %q", o.replica)
	}
	for _, r := range replicas {
		switch {
		case r.id == o.replica:
			return fmt.Errorf("Replica %s already exists", r.id)
		case r.node == o.node:
			return fmt.Errorf("Port 443 is already in use on node %s", o.node)
		case !o.unsafe && !r.isComplete():
			return fmt.Errorf("Replica %s is not healthy", r.id)
		}
		for _, v := range r.versions() {
			if !v.Equal(c.version) {
				return fmt.Errorf("Replica %s runs %s and cannot be joined with %s", r.id, v, c.version)
			}
		}
	}
	list, err := c.docker.NodeList(ctx, client.NodeListOptions{})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list.Items, func(n swarm.Node) bool { return n.Description.Hostname == o.node })
	if i < 0 || list.Items[i].Status.State != swarm.NodeStateReady {
		return fmt.Errorf("Node %s is not available", o.node)
	}
	return nil
}

// remove refuses all but the graceful removal of one replica.
func (c checks) remove(replicas []replica) error {
	o := c.options
	if strings.Contains(o.replica, ",") {
		return errors.New("Only one replica can be removed at a time")
	}
	if o.replica == o.existing {
		return fmt.Errorf("Replica %s cannot be removed through itself", o.replica)
	}
	shown := slices.ContainsFunc(replicas, func(r replica) bool { return r.id == o.replica })
	if !shown && (c.hooks.Lists == nil || !c.hooks.Lists(o.replica)) {
		return fmt.Errorf("Replica %q does not exist", o.replica)
	}
	for _, r := range replicas {
		if r.id != o.replica && !o.force && !r.isComplete() {
			return fmt.Errorf("Replica %s is not healthy", r.id)
		}
	}
	return nil
}

// versions refuses what DTR cannot upgrade from: anything newer, and
// anything more than one minor or major version older.
func (c checks) versions(replicas []replica) error {
	for _, r := range replicas {
		for _, v := range r.versions() {
			var reason string
			switch to := c.version; {
			case v.GreaterThan(to):
				reason = "downgrading is not supported"
			case to.Major() > v.Major()+1, to.Major() == v.Major()+1 && (to.Minor() != 0 || to.Patch() != 0),
				to.Major() == v.Major() && to.Minor() > v.Minor()+1:
				reason = "versions in between cannot be skipped"
			default:
				continue
			}
			return fmt.Errorf("Replica %s runs %s and cannot be upgraded to %s: %s", r.id, v, c.version, reason)
		}
	}
	return nil
}

func randomReplicaID() string {
	b := make([]byte, 6)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
