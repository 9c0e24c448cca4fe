package simulator

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/swarm"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// ServiceCache is the content cache's own address, for a [Fault] or a [Request].
const ServiceCache = "cache"

// cacheHandler is the content cache at [Cluster.CacheURL]: a registry that asks
// for a login, for as long as any container of a cache's image runs.
func cacheHandler(inventory Inventory) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.ContainsFunc(inventory.List(), func(c Container) bool { return c.Running() && release.IsContentCache(c.Image) }) {
			resetConnection(w)
			return
		}
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		if !strings.HasPrefix(r.URL.Path, "/v2/") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://dtr.example.com/auth/token",service="dtr.example.com"`)
		_ = writeJSON(w, http.StatusUnauthorized, map[string]any{"errors": []map[string]string{
			{"code": "UNAUTHORIZED", "message": "authentication required"},
		}})
	})
}

// CacheURL is the address of the cluster's content caches, under the same CA.
func (c *Cluster) CacheURL() string { return c.cacheURL }

// ContentCache is a cache that is registered in DTR.
type ContentCache struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Host string `json:"host"`
}

// AddCache registers a content cache in DTR.
func (c *Cluster) AddCache(name, host string) (id string) {
	c.dtr.mu.Lock()
	defer c.dtr.mu.Unlock()
	cache := ContentCache{ID: uuid(), Name: name, Host: host}
	c.dtr.caches = append(c.dtr.caches, cache)
	return cache.ID
}

// RemoveCache takes a registration away.
func (c *Cluster) RemoveCache(id string) {
	c.dtr.mu.Lock()
	defer c.dtr.mu.Unlock()
	c.dtr.caches = slices.DeleteFunc(c.dtr.caches, func(cache ContentCache) bool { return cache.ID == id })
}

// Caches lists the content caches that are registered.
func (c *Cluster) Caches() []ContentCache {
	c.dtr.mu.Lock()
	defer c.dtr.mu.Unlock()
	return slices.Clone(c.dtr.caches)
}

// CacheService is a swarm service as "docker stack deploy" makes it of a cache.
type CacheService struct {
	Name          string // "dtr-cache_cache" if empty
	Image         string
	Replicas      int    // 1 if zero; negative is none
	Order         string // stop-first, which is the default, or start-first
	FailureAction string // pause, which is the default, rollback or continue
}

// AddCacheService makes the service and waits until its tasks run.
func (c *Cluster) AddCacheService(s CacheService) {
	s.Name = cmp.Or(s.Name, "dtr-cache_cache")
	ref, _, _ := strings.Cut(s.Image, "@")
	c.AddImage(ref)
	raw, err := json.Marshal(map[string]any{
		"Name": s.Name, "Labels": map[string]string{"com.docker.stack.namespace": "dtr-cache", "com.docker.stack.image": s.Image},
		"TaskTemplate": map[string]any{
			"ContainerSpec": map[string]any{
				"Image": s.Image, "Env": []string{"A=B"}, "Isolation": "default",
				"Labels":  map[string]string{"com.docker.stack.namespace": "dtr-cache"},
				"Secrets": []any{map[string]any{"File": map[string]any{"Name": "cert.pem", "UID": "0", "GID": "0", "Mode": 292}, "SecretID": "x", "SecretName": "dtr-cache_cert"}},
			},
			"Resources": map[string]any{}, "Placement": map[string]any{}, "ForceUpdate": 0, "Runtime": "container",
		},
		"Mode":         map[string]any{"Replicated": map[string]any{"Replicas": max(cmp.Or(s.Replicas, 1), 0)}},
		"UpdateConfig": map[string]any{"Parallelism": 1, "FailureAction": cmp.Or(s.FailureAction, "pause"), "Monitor": 5000000000, "MaxFailureRatio": 0, "Order": cmp.Or(s.Order, "stop-first")},
		// Engines of old kept a service's networks here; the API has forgotten it.
		"Networks":     []any{map[string]any{"Target": "dtr-cache_default"}},
		"EndpointSpec": map[string]any{"Mode": "vip"},
	})
	must(err)
	var spec serviceSpec
	must(json.Unmarshal(raw, &spec))
	c.engine.mu.Lock()
	made := c.engine.addService(spec)
	rolled := made.settled
	c.engine.mu.Unlock()
	<-rolled
}

// RemoveService removes a service with its containers.
func (c *Cluster) RemoveService(name string) {
	must(c.engine.change(func() error { return c.engine.removeService(name) }))
}

// ServiceState is a swarm service as it is now.
type ServiceState struct {
	Spec        json.RawMessage
	Image       string
	Version     uint64
	UpdateState string   // empty when it was never updated
	Running     []string // images of the tasks that run
}

// ServiceState looks at a service.
func (c *Cluster) ServiceState(name string) ServiceState {
	e := c.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	s, err := e.findService(name)
	must(err)
	state := ServiceState{Spec: s.spec.raw, Image: s.spec.image(), Version: s.version}
	if s.status != nil {
		state.UpdateState = string(s.status.State)
	}
	for _, t := range s.tasks {
		if e.observed(t).Status.State == swarm.TaskStateRunning {
			state.Running = append(state.Running, t.Spec.ContainerSpec.Image)
		}
	}
	return state
}

// AddCacheContainer starts a content cache that is a container by itself, on the
// engine's default network unless a change says otherwise.
func (c *Cluster) AddCacheContainer(name, ref, nodeName string, changes ...func(*container.HostConfig)) {
	host := &container.HostConfig{
		Binds:         []string{"dtr-cache:/data", "/etc/cache/config.yaml:/config.yaml:ro"},
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyUnlessStopped},
	}
	for _, change := range changes {
		change(host)
	}
	c.AddImage(ref, nodeName)
	e := c.engine
	must(e.change(func() error {
		n, err := e.known(nodeName)
		if err != nil {
			return err
		}
		e.run(e.add(n, name, &container.Config{Image: ref, Env: []string{"A=B"}, Labels: map[string]string{"keep": "me"}}, host))
		return nil
	}))
}

// SetCrashing has every container of an image end with status 1 as soon as it is
// started, or no longer.
func (c *Cluster) SetCrashing(ref string, crashing bool) {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	c.engine.crashing[release.NormalRef(ref)] = crashing
}
