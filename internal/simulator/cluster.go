// Package simulator is a simulated DTR cluster with everything around it that
// an upgrade touches: DTR's API behind a load balancer, UCP, the Docker Engines
// of the nodes, an image registry, and the bootstrapper that replaces the
// containers. It serves over TLS on loopback ports and needs no Docker.
//
// It behaves as the published documentation says that the real thing does, in
// a scalable time, and goes wrong where it is told to. It may not import the
// packages of the provider, which are tested against it.
package simulator

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/swarm"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/clock"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/pki"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

const (
	managerName = "manager1"
	maxReplicas = 7
	seedAge     = 90 * 24 * time.Hour // age of a cluster at the start
)

// Options say what cluster to simulate.
type Options struct {
	// Version that every replica runs, MAJOR.MINOR.PATCH. Required.
	Version string
	// Replicas, 1 to 7; 3 if zero. The k-th lives on node worker<k>.
	Replicas int
	// Workers is how many workers there are; those without a replica are free for
	// one to join. As many as replicas if fewer.
	Workers int
	// Speed divides every duration: 1, or zero, is as slow as a real cluster.
	Speed float64
	// Username and Password of the administrator; made up if empty.
	Username, Password string
	// Host is the external host name that DTR's settings show; the address that
	// is served if empty.
	Host string
	// APIVersion of the Docker Engines; if empty the one of the engine that was
	// released together with the DTR version: 1.37, 1.39 or 1.40.
	APIVersion string
	// UCPVersion, if empty, is likewise the one of the release.
	UCPVersion string
	// Nodes says how nodes differ from the usual ones, by name.
	Nodes map[string]NodeOptions
	// Listen is the address of this machine that DTR and UCP are served on;
	// 127.0.0.1 if empty.
	Listen string
	// Engines take the place of the simulated ones. Replicas, APIVersion and
	// Nodes then mean nothing, and the methods of the cluster that change
	// containers, images and nodes, or hold a bootstrapper up, must not be used.
	Engines Engines
}

// NodeOptions describes a node; zero values are the usual ones.
type NodeOptions struct {
	MemoryBytes   int64 // 32 GiB
	EngineVersion string
	Availability  string // active
	OS            string // linux
}

// Info is what a program needs to know to use the cluster.
type Info struct {
	DTRURL     string `json:"dtr_url"`
	UCPURL     string `json:"ucp_url"`
	Username   string `json:"username"`
	Password   string `json:"password"`
	CACert     string `json:"ca_cert"` // PEM
	DockerHost string `json:"docker_host"`
}

// Cluster is a running simulation.
type Cluster struct {
	info         Info
	cancel       context.CancelFunc
	accounts     *accounts
	registry     *registry
	engine       *engine // nil when the engines are real
	inventory    Inventory
	ucp          *ucp
	dtr          *dtr
	front        front
	points       points
	bootstrapper guarded[BootstrapperFaults]
	servers      []*http.Server
	socketDir    string
	cacheURL     string
	unwatch      func()
}

// Start starts a cluster. Close must be called when it is no longer needed.
func Start(o Options) (*Cluster, error) {
	version, err := semver.StrictNewVersion(o.Version)
	if err != nil {
		return nil, fmt.Errorf("version %q: %w", o.Version, err)
	}
	o.Replicas = cmp.Or(o.Replicas, 3)
	if o.Replicas < 1 || o.Replicas > maxReplicas {
		return nil, fmt.Errorf("%d replicas: a cluster has 1 to %d", o.Replicas, maxReplicas)
	}
	o.Speed = cmp.Or(o.Speed, 1)
	if o.Speed < 0 {
		return nil, fmt.Errorf("speed %g: must be positive", o.Speed)
	}

	c := &Cluster{}
	if err := c.start(o, version); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) start(o Options, version *semver.Version) error {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	caPEM, certificate, err := pki.New(slices.DeleteFunc([]string{o.Host, o.Listen}, func(h string) bool { return h == "" })...)
	if err != nil {
		return err
	}
	listen := net.JoinHostPort(cmp.Or(o.Listen, "127.0.0.1"), "0")
	dtrListener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	defer closeUnlessServed(c, dtrListener)
	ucpListener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	defer closeUnlessServed(c, ucpListener)
	cacheListener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	defer closeUnlessServed(c, cacheListener)
	c.cacheURL = "https://" + cacheListener.Addr().String()

	username, password := credentials(o.Username, o.Password)
	c.info = Info{
		DTRURL: "https://" + dtrListener.Addr().String(), UCPURL: "https://" + ucpListener.Addr().String(),
		Username: username, Password: password, CACert: caPEM,
	}
	c.accounts = newAccounts(username, password)
	c.registry = newRegistry()
	var docker http.Handler
	var apiVersion string
	if o.Engines != nil {
		c.inventory, docker, apiVersion = o.Engines, o.Engines.Handler(), o.Engines.APIVersion()
	} else {
		c.engine = newEngine(ctx, o, version, c.registry)
		c.engine.reach = c.points.reach
		c.engine.program = func(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
			return standin.Run(ctx, standin.Hooks{Faults: c.bootstrapper.get, Reach: c.points.reach}, args, env, stdout, stderr)
		}
		c.inventory, docker, apiVersion = c.engine, c.engine.handler(scope{}), c.engine.apiVersion
	}
	c.dtr = &dtr{
		ctx: ctx, clock: clock.Clock(o.Speed), inventory: c.inventory, accounts: c.accounts, points: &c.points,
		host: cmp.Or(o.Host, dtrListener.Addr().String()), ucpHost: ucpListener.Addr().String(), caPEM: caPEM,
		reports: map[string]*report{}, scanner: scanner{version: 1200, updated: time.Now().Add(-24 * time.Hour)},
	}
	if !version.LessThan(semver.MustParse("2.6")) {
		c.dtr.migration.optedIn, c.dtr.migration.done = true, true
	}
	c.ucp = newUCP(c.accounts, caPEM, apiVersion, docker)
	if c.engine == nil {
		c.unwatch = o.Engines.Watch(c.dtr.observe)
	} else if err := c.serveSocket(ctx); err != nil {
		return err
	}
	c.dtr.observe()

	serverTLS := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	c.serve(ctx, tls.NewListener(dtrListener, serverTLS), c.front.wrap(always(ServiceDTR), c.dtr.handler()))
	c.serve(ctx, tls.NewListener(ucpListener, serverTLS), c.front.wrap(ucpService, c.ucp.handler()))
	c.serve(ctx, tls.NewListener(cacheListener, serverTLS), c.front.wrap(always(ServiceCache), cacheHandler(c.inventory)))
	return nil
}

// serveSocket serves the engine of the first worker without UCP.
func (c *Cluster) serveSocket(ctx context.Context) error {
	var err error
	if c.socketDir, err = os.MkdirTemp("", "dtr-simulator-"); err != nil {
		return err
	}
	socket := filepath.Join(c.socketDir, "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	c.info.DockerHost = "unix://" + socket
	c.engine.changed = c.dtr.observe
	c.serve(ctx, l, c.front.wrap(always(ServiceEngine), c.engine.handler(scope{node: workerName(1)})))
	return nil
}

// always names the service of an address that serves but one.
func always(service string) func(path string) string {
	return func(string) string { return service }
}

func closeUnlessServed(c *Cluster, l net.Listener) {
	if len(c.servers) == 0 {
		_ = l.Close()
	}
}

// serve answers in HTTP/1.1 alone: faults take connections over, which
// HTTP/2 does not let them. The end of ctx ends requests under way, which the
// end of a connection does not always do.
func (c *Cluster) serve(ctx context.Context, l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler: h, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	c.servers = append(c.servers, server)
	c.front.active.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(fmt.Sprintf("simulator: serving: %v", err))
		}
	})
}

// Close ends everything that runs and frees the ports.
func (c *Cluster) Close() {
	c.cancel()
	for _, s := range c.servers {
		_ = s.Close()
	}
	c.front.close()
	if c.unwatch != nil {
		c.unwatch()
	}
	if c.engine != nil {
		c.engine.active.Wait()
	}
	if c.dtr != nil {
		c.dtr.jobsDone.Wait()
	}
	if c.socketDir != "" {
		_ = os.RemoveAll(c.socketDir)
	}
}

// DTRURL is the address of DTR's load balancer.
func (c *Cluster) DTRURL() string { return c.info.DTRURL }

// UCPURL is the address of UCP, and of the cluster's Docker Engine API.
func (c *Cluster) UCPURL() string { return c.info.UCPURL }

// DockerHost is the simulated engine of node worker1 without UCP: a unix socket.
func (c *Cluster) DockerHost() string { return c.info.DockerHost }

// CACert is the certificate authority of both addresses, PEM.
func (c *Cluster) CACert() string { return c.info.CACert }

// Username of the administrator.
func (c *Cluster) Username() string { return c.info.Username }

// Password that the administrator had at the start.
func (c *Cluster) Password() string { return c.info.Password }

// Info is all of that together.
func (c *Cluster) Info() Info { return c.info }

// Containers lists the containers of the nodes that are up, by node and name.
func (c *Cluster) Containers() []Container { return c.inventory.List() }

// ReplicaIDs lists the ids of the replicas in ascending order, which is the
// order of the bootstrapper too, and of the nodes of those that were there at the
// start.
func (c *Cluster) ReplicaIDs() []string {
	c.dtr.mu.Lock()
	defer c.dtr.mu.Unlock()
	return c.dtr.replicas()
}

// Versions says what every replica runs: replica id to part ("nginx") to version.
func (c *Cluster) Versions() map[string]map[string]string {
	versions := map[string]map[string]string{}
	for _, ct := range c.Containers() {
		if p, id, ok := ct.Component(); ok {
			if versions[id] == nil {
				versions[id] = map[string]string{}
			}
			versions[id][p] = ct.Version()
		}
	}
	return versions
}

// BootstrapperRuns is how many upgrade containers were ever started; the
// second phase of one is not another.
func (c *Cluster) BootstrapperRuns() int { return c.Runs(standin.CommandUpgrade) }

// Runs is that for any command of the bootstrapper: "join", "remove".
func (c *Cluster) Runs(command string) int {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	return c.engine.runs[command]
}

func workerName(k int) string { return fmt.Sprintf("worker%d", k) }

// newEngine makes the nodes, with the replicas on them.
func newEngine(ctx context.Context, o Options, version *semver.Version, r *registry) *engine {
	platform := release.PlatformOf(version)
	platform.UCPVersion = cmp.Or(o.UCPVersion, platform.UCPVersion)
	e := &engine{
		ctx: ctx, clock: clock.Clock(o.Speed), registry: r, ucpVersion: platform.UCPVersion,
		apiVersion: cmp.Or(o.APIVersion, platform.EngineAPI), containers: map[string]*ctr{}, crashing: map[string]bool{},
		runs: map[string]int{},
	}
	e.version = engineVersion(e.apiVersion)
	add := func(name string, k int) *node {
		n := &node{
			name: name, id: release.StableID("node", name)[:25], addr: fmt.Sprintf("10.0.0.%d", 10+k), manager: k == 0,
			memory:  cmp.Or(o.Nodes[name].MemoryBytes, 32<<30),
			version: o.Nodes[name].EngineVersion, images: map[string]image{},
			availability: cmp.Or(o.Nodes[name].Availability, string(swarm.NodeAvailabilityActive)), os: cmp.Or(o.Nodes[name].OS, "linux"),
		}
		e.nodes = append(e.nodes, n)
		return n
	}
	seed := func(n *node, name string, config *container.Config, host *container.HostConfig) {
		e.addImage(n, config.Image, r.manifest(config.Image))
		c := e.add(n, name, config, host)
		c.created = time.Now().Add(-seedAge)
		e.run(c)
		c.started = c.created
	}
	seed(add(managerName, 0), "ucp-controller", &container.Config{Image: "docker/ucp-controller:" + platform.UCPVersion}, &container.HostConfig{})
	repository := release.Repository(version)
	for i, id := range replicaIDs(o.Replicas) {
		n := add(workerName(i+1), i+1)
		for _, spec := range release.ReplicaContainers(repository, id, func(string) string { return version.String() }) {
			seed(n, spec.Name, spec.Config, spec.Host)
		}
	}
	for k := o.Replicas + 1; k <= o.Workers; k++ {
		add(workerName(k), k)
	}
	return e
}

// replicaIDs makes the same ids every time, in ascending order.
func replicaIDs(n int) []string {
	var ids []string
	for i := range n {
		ids = append(ids, release.StableID("replica", strconv.Itoa(i))[:12])
	}
	slices.Sort(ids)
	return ids
}

var engineVersions = map[string]string{
	"1.30": "17.06.2-ee-16", "1.37": "18.03.1-ee-7", "1.39": "18.09.8", "1.40": "19.03.5", "1.41": "20.10.24",
}

// engineVersion is the engine that speaks an API version at the newest.
func engineVersion(api string) string {
	if v, ok := engineVersions[api]; ok {
		return v
	}
	for _, known := range slices.Backward(slices.Sorted(maps.Keys(engineVersions))) {
		if compareAPI(api, known) > 0 {
			return engineVersions[known]
		}
	}
	return engineVersions["1.30"]
}
