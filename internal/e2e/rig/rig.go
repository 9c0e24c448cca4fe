//go:build linux

// Package rig builds a cluster out of real Docker Engines for tests: nodes in
// one swarm with the overlay network of DTR, a registry with images that stand
// in for DTR's own, and UCP's view of the Docker Engine API of all nodes. It
// runs in a [sandbox], and imports no package of the provider.
package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/e2e/sandbox"
)

const (
	// Address of this process in the network of the nodes.
	Address       = "10.231.0.254"
	addressFormat = "10.231.0.%d"
	prefixLength  = "/24"

	// nodeTimeout is how long a node may take to answer what is answered at
	// once, before it counts as down: requestTimeout of classic Swarm's engine.go.
	nodeTimeout = 10 * time.Second

	// apiVersion is what is spoken with the engines here; UCP's front may speak
	// older ones with its clients.
	apiVersion = "1.41"

	overlay    = "dtr-ol"
	resolvConf = "/etc/resolv.conf"
	configDir  = "/etc/docker" // of engines: not theirs, but the machine's own
)

// Options of a rig.
type Options struct {
	Dir     string // of everything that the engines keep
	Cgroup  string // that the containers' cgroups are made in, absolute
	Program string // the static program of the stand-in images
	Nodes   int    // 3 if zero
	Speed   float64
}

// Rig is a swarm of real engines, with a registry.
type Rig struct {
	Nodes []*Node

	dir, cgroup string
	pki         *pki
	client      Credentials // of UCP and the tests, good for every engine
	network     *sandbox.Switch
	registry    *registry
	watch       *watch
	creating    sync.Mutex // held by UCP's front while it makes a container
}

// Start starts the engines and joins them. What it leaves behind when it fails
// goes with the sandbox.
func Start(ctx context.Context, o Options) (*Rig, error) {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	r := &Rig{dir: o.Dir, cgroup: o.Cgroup}
	var err error
	if r.pki, err = newPKI(); err != nil {
		return nil, err
	}
	if r.client, err = r.pki.issue("client", ""); err != nil {
		return nil, err
	}
	if r.network, err = sandbox.NewSwitch(ctx, "switch", Address+prefixLength); err != nil {
		return nil, err
	}
	// Nobody serves names here, which is to be found out at once.
	if _, err := os.Stat(resolvConf); err == nil {
		if err := sandbox.Overlay(resolvConf, "nameserver "+Address+"\n"); err != nil {
			return nil, err
		}
	}
	if r.registry, err = newRegistry(o.Program, o.Speed); err != nil {
		return nil, err
	}
	for k := range o.Nodes {
		n, err := r.newNode(ctx, k+1)
		if err != nil {
			return nil, err
		}
		r.Nodes = append(r.Nodes, n)
	}
	if err := r.each(ctx, func(ctx context.Context, n *Node) error { return n.Start(ctx) }); err != nil {
		return nil, err
	}
	if err := r.joinSwarm(ctx); err != nil {
		return nil, err
	}
	r.watch = newWatch(r.Nodes)
	return r, nil
}

// Registry is the address of the registry, host and port.
func (r *Rig) Registry() string { return r.registry.address }

// Client is what clients of the engines show to them.
func (r *Rig) Client() Credentials { return r.client }

// manager is the node that manages the swarm.
func (r *Rig) manager() *Node { return r.Nodes[0] }

// Node finds a node by its name.
func (r *Rig) Node(name string) *Node {
	for _, n := range r.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// each does something on all nodes side by side.
func (r *Rig) each(ctx context.Context, f func(context.Context, *Node) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range r.Nodes {
		group.Go(func() error { return f(ctx, n) })
	}
	return group.Wait()
}

// Close ends the engines.
func (r *Rig) Close(ctx context.Context) error {
	if r.watch != nil {
		r.watch.close()
	}
	errs := []error{r.registry.close()}
	for _, n := range r.Nodes {
		errs = append(errs, n.Kill(ctx))
	}
	return errors.Join(errs...)
}

func (r *Rig) joinSwarm(ctx context.Context) error {
	manager := r.manager()
	if _, err := manager.Docker.SwarmInit(ctx, client.SwarmInitOptions{
		ListenAddr: net.JoinHostPort(manager.Address, "2377"), AdvertiseAddr: manager.Address,
	}); err != nil {
		return fmt.Errorf("begin a swarm: %w", err)
	}
	found, err := manager.Docker.SwarmInspect(ctx, client.SwarmInspectOptions{})
	if err != nil {
		return err
	}
	for _, n := range r.Nodes[1:] {
		if _, err := n.Docker.SwarmJoin(ctx, client.SwarmJoinOptions{
			ListenAddr: net.JoinHostPort(n.Address, "2377"), AdvertiseAddr: n.Address,
			RemoteAddrs: []string{net.JoinHostPort(manager.Address, "2377")}, JoinToken: found.Swarm.JoinTokens.Worker,
		}); err != nil {
			return fmt.Errorf("have %s join the swarm: %w", n.Name, err)
		}
	}
	_, err = manager.Docker.NetworkCreate(ctx, overlay, client.NetworkCreateOptions{Driver: "overlay", Attachable: true})
	if err != nil {
		return fmt.Errorf("make the network %s: %w", overlay, err)
	}
	return r.waitForNodes(ctx)
}

// waitForNodes waits until the swarm says that all nodes are ready.
func (r *Rig) waitForNodes(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		list, err := r.manager().Docker.NodeList(ctx, client.NodeListOptions{})
		ready := 0
		for _, n := range list.Items {
			if n.Status.State == swarm.NodeStateReady {
				ready++
			}
		}
		return ready == len(r.Nodes), err
	})
}

// poll looks every now and then until it is so.
func poll(ctx context.Context, look func() (bool, error)) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		if ok, err := look(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// Tools lists what the rig needs on the PATH and does not find.
func Tools() (missing []string) {
	for _, name := range []string{"dockerd", "docker", "containerd", "runc", "ip", "iptables", "iptables-save", "sshd", "ssh", "ssh-keygen"} {
		if !found(name) {
			missing = append(missing, name)
		}
	}
	return missing
}

// MakeConfigDir makes the directory that engines want to keep things in, which
// is hidden from those of a rig. Where there was none, the file mark says so.
func MakeConfigDir(mark string) error {
	if _, err := os.Stat(configDir); err == nil {
		return nil
	}
	return errors.Join(os.WriteFile(mark, nil, 0o600), os.MkdirAll(configDir, 0o755))
}

// RemoveConfigDir takes the directory away again if the mark is there.
func RemoveConfigDir(mark string) error {
	if _, err := os.Stat(mark); err != nil {
		return nil //nolint:nilerr // it was there before
	}
	if err := os.Remove(configDir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
