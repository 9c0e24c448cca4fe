package simulator

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/moby/moby/api/types/swarm"
)

// cacheServices are the test's controls of the swarm services of content caches.
type cacheServices struct {
	engine *engine
	swarm  *swarmState
	images *nodeImages
}

// CacheService is a content cache's swarm service as "docker stack deploy" creates it.
type CacheService struct {
	Name          string // "dtr-cache_cache" if empty
	Image         string
	Replicas      int    // 1 if zero; negative is none
	Order         string // stop-first, which is the default, or start-first
	FailureAction string // pause, which is the default, rollback or continue
}

// AddCacheService creates the service and waits until its tasks run.
func (c *cacheServices) AddCacheService(s CacheService) {
	s.Name = cmp.Or(s.Name, "dtr-cache_cache")
	ref, _, _ := strings.Cut(s.Image, "@")
	c.images.AddImage(ref)
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
		// Old engines kept a service's networks here; the API's types no longer have it.
		"Networks":     []any{map[string]any{"Target": "dtr-cache_default"}},
		"EndpointSpec": map[string]any{"Mode": "vip"},
	})
	must(err)
	var spec serviceSpec
	must(json.Unmarshal(raw, &spec))
	c.engine.mu.Lock()
	made := addService(c.swarm, spec)
	rolled := made.settled
	c.engine.mu.Unlock()
	<-rolled
}

// RemoveService removes a service with its containers.
func (c *cacheServices) RemoveService(name string) {
	must(c.engine.change(func() error { return c.swarm.removeService(name) }))
}

// ServiceState is a swarm service as it is now.
type ServiceState struct {
	Spec        json.RawMessage
	Image       string
	Version     uint64
	UpdateState string   // empty when it was never updated
	Running     []string // images of the tasks that run
}

// ServiceState returns the current state of a service.
func (c *cacheServices) ServiceState(name string) ServiceState {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	s, err := c.swarm.findService(name)
	must(err)
	state := ServiceState{Spec: s.spec.raw, Image: s.spec.image(), Version: s.version}
	if s.status != nil {
		state.UpdateState = string(s.status.State)
	}
	for _, t := range s.tasks {
		if c.swarm.observed(t).Status.State == swarm.TaskStateRunning {
			state.Running = append(state.Running, t.Spec.ContainerSpec.Image)
		}
	}
	return state
}
