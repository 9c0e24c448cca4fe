// Package simulator is a simulated DTR cluster with everything around it that
// an upgrade touches: DTR's API behind a load balancer, UCP, the Docker Engines
// of the nodes, an image registry, and the bootstrapper that replaces the
// containers. It serves over TLS on loopback ports and needs no Docker.
//
// It behaves as the published documentation describes, on a scalable clock, and
// fails where a test tells it to. It may not import the packages of the provider,
// which are tested against it.
package simulator

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/moby/moby/api/types/container"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/clock"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/pki"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

// Info is what a program needs to know to use the cluster.
type Info struct {
	DTRURL     string `json:"dtr_url"`
	UCPURL     string `json:"ucp_url"`
	Username   string `json:"username"`
	Password   string `json:"password"`
	CACert     string `json:"ca_cert"` // PEM
	DockerHost string `json:"docker_host"`
}

// Cluster is a running simulation. Each part that it embeds brings the methods with
// which a test reads that part, changes it, or makes it fail.
type Cluster struct {
	// Around DTR and UCP.
	points
	bootstrappers
	traffic
	*accounts
	*registry
	*ucp
	// DTR's own state.
	*members
	*contentCaches
	*jobQueue
	*migration
	*scanner
	// Simulated engines; nil when the engines are real.
	*machines
	*nodeImages
	*cacheServices
	*circumstances

	info      Info
	cacheURL  string
	cancel    context.CancelFunc
	inventory Inventory
	unwatch   func()
	servers   []*http.Server
	socketDir string
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
	var listeners [3]net.Listener // of DTR, UCP and the content caches
	for i, port := range []int{o.DTRPort, o.UCPPort, 0} {
		if listeners[i], err = net.Listen("tcp", net.JoinHostPort(cmp.Or(o.Listen, "127.0.0.1"), strconv.Itoa(port))); err != nil {
			return err
		}
		defer closeUnlessServed(c, listeners[i])
	}
	dtrListener, ucpListener, cacheListener := listeners[0], listeners[1], listeners[2]
	c.cacheURL = "https://" + cacheListener.Addr().String()

	username, password := cmp.Or(o.Username, "admin"), cmp.Or(o.Password, "simulated-password")
	c.info = Info{
		DTRURL: "https://" + dtrListener.Addr().String(), UCPURL: "https://" + ucpListener.Addr().String(),
		Username: username, Password: password, CACert: caPEM,
	}
	c.accounts = newAccounts(username, password)
	c.registry = newRegistry()
	var engines *engineServer
	var docker http.Handler
	var apiVersion string
	if o.Engines != nil {
		c.inventory, docker, apiVersion = o.Engines, o.Engines.Handler(), o.Engines.APIVersion()
	} else {
		engines = c.simulateEngines(ctx, o, version)
		c.inventory, docker, apiVersion = engines.engine, engines.handler(scope{}), engines.engine.apiVersion
	}
	dtr := c.simulateDTR(ctx, o, version, metaAPI{
		host: cmp.Or(o.Host, dtrListener.Addr().String()), ucpHost: ucpListener.Addr().String(), caPEM: caPEM,
	})
	now := time.Now
	if engines != nil {
		now = engines.engine.now
	}
	ucp := newUCP(c.accounts, caPEM, apiVersion, docker, now, cmp.Or(o.Sessions, 10))
	c.ucp = ucp
	if engines == nil {
		c.unwatch = o.Engines.Watch(dtr.observe)
	} else {
		engines.engine.changed = dtr.observe
		if err := c.serveSocket(ctx, engines.handler(scope{node: workerName(1)})); err != nil {
			return err
		}
	}
	dtr.observe()

	serverTLS := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	c.serve(ctx, tls.NewListener(dtrListener, serverTLS), c.wrap(always(ServiceDTR), dtr.handler()))
	c.serve(ctx, tls.NewListener(ucpListener, serverTLS), c.wrap(ucpService, ucp.handler()))
	c.serve(ctx, tls.NewListener(cacheListener, serverTLS), c.wrap(always(ServiceCache), cacheHandler(c.inventory)))
	return nil
}

// simulateEngines sets up the engines with the replicas' containers.
func (c *Cluster) simulateEngines(ctx context.Context, o Options, version *semver.Version) *engineServer {
	points, how := &c.points, &c.bootstrappers
	e := newEngine(ctx, o, version, c.registry)
	e.reach = points.reach
	e.program = func(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
		return standin.Run(ctx, standin.Hooks{Faults: how.faults, Reach: points.reach, Lists: c.lists}, args, env, stdout, stderr)
	}
	swarm := &swarmState{engine: e, registry: c.registry}
	c.nodeImages = &nodeImages{engine: e, registry: c.registry}
	c.machines = &machines{engine: e, images: c.nodeImages}
	c.circumstances = &circumstances{engine: e, registry: c.registry}
	for _, u := range o.Unlisted {
		must(c.addUnlisted(u))
	}
	c.cacheServices = &cacheServices{engine: e, swarm: swarm, images: c.nodeImages}
	return newEngineServer(e, swarm, c.registry)
}

// simulateDTR sets up DTR; meta brings what its API shows of its surroundings.
func (c *Cluster) simulateDTR(ctx context.Context, o Options, version *semver.Version, meta metaAPI) *dtr {
	mu, speed := &sync.Mutex{}, clock.Clock(o.Speed)
	now := func() time.Time { return time.Now().Add(o.DTRClockAhead) }
	c.accounts.now = now
	names := map[string]string{}
	for node, is := range o.Nodes {
		names[node] = is.DTRName
	}
	members := &members{mu: mu, clock: speed, now: now, names: names, reports: map[string]*report{}}
	caches := &contentCaches{mu: mu}
	queue := &jobQueue{mu: mu, ctx: ctx, clock: speed, points: &c.points, members: members}
	migrated := !version.LessThan(semver.MustParse("2.6"))
	migration := &migration{mu: mu, queue: queue, members: members, optedIn: migrated, done: migrated}
	scanner := &scanner{mu: mu, queue: queue, members: members, version: 1200, updated: now().Add(-24 * time.Hour)}
	queue.kinds = map[string]jobKind{
		actionMigration: migration.kind(), actionUpdateDB: scanner.kind(), actionUpdateOldDB: scanner.kind(),
	}
	c.members, c.contentCaches, c.jobQueue, c.migration, c.scanner = members, caches, queue, migration, scanner
	meta.members, meta.scanner, meta.migration = members, scanner, migration
	return &dtr{
		mu: mu, inventory: c.inventory, accounts: c.accounts, caPEM: meta.caPEM,
		members: members, queue: queue, migration: migration,
		routes: slices.Concat(
			meta.routes(), jobAPI{queue}.routes(), scanner.routes(), cacheAPI{caches}.routes(), tokenAPI{c.accounts}.routes(),
		),
	}
}

// serveSocket serves the engine of the first worker without UCP.
func (c *Cluster) serveSocket(ctx context.Context, h http.Handler) error {
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
	c.serve(ctx, l, c.wrap(always(ServiceEngine), h))
	return nil
}

// always is the service of every path of an address.
func always(service string) func(path string) string {
	return func(string) string { return service }
}

func closeUnlessServed(c *Cluster, l net.Listener) {
	if len(c.servers) == 0 {
		_ = l.Close()
	}
}

// serve speaks HTTP/1.1 alone, because faults take connections over, which HTTP/2
// does not allow. The end of ctx ends requests under way, which the end of a
// connection does not always do.
func (c *Cluster) serve(ctx context.Context, l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler: h, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	c.servers = append(c.servers, server)
	c.active.Go(func() {
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
	c.drain()
	if c.unwatch != nil {
		c.unwatch()
	}
	if c.machines != nil {
		c.machines.engine.active.Wait()
	}
	if c.jobQueue != nil {
		c.jobQueue.done.Wait()
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

// Info is everything that a program needs to use the cluster.
func (c *Cluster) Info() Info { return c.info }

// Containers lists the containers of the nodes that are up, by node and name.
func (c *Cluster) Containers() []Container { return c.inventory.List() }

// Versions says what every replica runs: replica id to part ("nginx") to version.
func (c *Cluster) Versions() map[string]map[string]string {
	versions := map[string]map[string]string{}
	for _, ct := range c.Containers() {
		if p, id, ok := ct.Component(); ok && !ct.unlisted() {
			if versions[id] == nil {
				versions[id] = map[string]string{}
			}
			versions[id][p] = ct.Version()
		}
	}
	return versions
}

// CacheURL is the address of the cluster's content caches, under the same CA.
func (c *Cluster) CacheURL() string { return c.cacheURL }

// lists reports whether DTR lists the replica.
func (c *Cluster) lists(replica string) bool { return slices.Contains(c.ReplicaIDs(), replica) }

// StartForeignBootstrapper starts an upgrade as another administrator would, on the
// first worker that is up, and returns the id of its container.
func (c *Cluster) StartForeignBootstrapper(version string) (id string) {
	ref := release.Repository(semver.MustParse(version)) + ":" + version
	return c.StartBootstrapper(ref, "upgrade", "--existing-replica-id", c.ReplicaIDs()[0], "--ucp-url", c.info.UCPURL, "--ucp-username", c.info.Username)
}

// StartBootstrapper is StartForeignBootstrapper for any command. The password and the CA
// need not be among its arguments: on a terminal, it asks for the one and shows the other.
func (c *Cluster) StartBootstrapper(ref string, args ...string) (id string) {
	e := c.machines.engine
	must(e.change(func() error {
		i := slices.IndexFunc(e.nodes, func(n *node) bool { return !n.down && !n.manager })
		if i < 0 {
			return errorf(http.StatusInternalServerError, "no worker is up")
		}
		e.nodes[i].put(ref, c.manifest(ref))
		ct := e.add(e.nodes[i], "foreign_"+newID()[:8], &container.Config{
			Image: ref,
			Cmd:   args,
			Env:   []string{"UCP_PASSWORD=" + c.info.Password, "UCP_CA=" + c.info.CACert},
		}, &container.HostConfig{})
		id = ct.id
		e.run(ct)
		return nil
	}))
	return id
}
