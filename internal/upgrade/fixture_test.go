package upgrade

import (
	"fmt"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

const fixtureHost = "dtr.example.com"

// epoch is when the containers of the fixtures were created.
var epoch = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

func version(s string) *semver.Version { return semver.MustParse(s) }

func versions(words ...string) []*semver.Version {
	var list []*semver.Version
	for _, w := range words {
		list = append(list, version(w))
	}
	return list
}

func replicaID(n int) string { return fmt.Sprintf("%012x", n) }

// container is one part of the n-th replica, as UCP shows it.
func container(n int, part bootstrap.Part, v string) ucp.Container {
	return ucp.Container{
		ID:      fmt.Sprintf("%s-%d", part.Name, n),
		Name:    fmt.Sprintf("worker%d/dtr-%s-%s", n, part.Name, replicaID(n)),
		Node:    fmt.Sprintf("worker%d", n),
		Image:   fmt.Sprintf("docker/%s:%s", part.Image, v),
		State:   "running",
		Status:  "Up 2 minutes",
		Created: epoch,
	}
}

// observation is a healthy cluster, one replica for each version, on which
// nothing stands in the way of an upgrade to 2.6 or 2.7.
func observation(replicas ...string) *Observation {
	settings := dtr.Settings{DTRHost: fixtureHost, Replicas: map[string]dtr.ReplicaSettings{}}
	var containers []ucp.Container
	obs := &Observation{
		Status: dtr.ClusterStatus{
			Health: map[string]string{}, Timestamp: map[string]time.Time{}, Date: epoch.Add(time.Hour),
		},
		Jobs:   map[string][]dtr.Job{},
		Images: map[string]ImageState{},

		Features: dtr.Features{OnlineGCEnabled: true}, // nobody owes a migration
		Version:  ucp.Version{Engine: "18.09.0", UCP: "3.1.0"},
	}
	for i, v := range replicas {
		n := i + 1
		node := fmt.Sprintf("worker%d", n)
		settings.Replicas[replicaID(n)] = dtr.ReplicaSettings{Node: node}
		obs.Status.Health[replicaID(n)] = dtr.HealthOK
		obs.Status.Timestamp[replicaID(n)] = epoch.Add(time.Hour)
		obs.Nodes = append(obs.Nodes, ucp.Node{Hostname: node, EngineVersion: "18.09.0", MemoryBytes: 32 << 30})
		for _, part := range bootstrap.Parts {
			containers = append(containers, container(n, part, v))
		}
	}
	obs.Inventory = newInventory("https://"+fixtureHost, settings, containers)
	return obs
}

func options(target string, via ...string) Options {
	return Options{Target: version(target), Via: versions(via...)}
}

// job is a migration job that was scheduled so long after the containers were
// created.
func job(id, status string, retriesLeft int, after time.Duration) dtr.Job {
	return dtr.Job{
		ID: id, RetryFromID: id, Action: metadataStoreMigration, Status: dtr.JobStatus(status),
		RetriesLeft: retriesLeft, RetriesTotal: 2, ScheduledAt: epoch.Add(after),
	}
}

// ourBootstrapper is the container that this provider started for a hop.
func ourBootstrapper(from, to, state string) ucp.Container {
	return ucp.Container{
		ID: "b0075", Name: "worker1/" + containerName(fixtureHost), Node: "worker1", Image: "docker/dtr:" + to, State: state, Status: state,
		Labels: map[string]string{labelCluster: fixtureHost, labelFrom: from, labelTo: to},
	}
}

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
