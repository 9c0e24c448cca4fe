package provider

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// startMigration has DTR run the job of the metadata store's migration.
func startMigration(t *testing.T, c *simulator.Cluster) {
	t.Helper()
	client, err := dtr.New(dtr.Config{URL: c.DTRURL(), Username: c.Username(), Password: c.Password(), CACert: c.CACert()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.RunJob(t.Context(), "metadatastoremigration", nil); err != nil {
		t.Fatal(err)
	}
}

// listJob has DTR list one migration job, which has been given up with that status.
func listJob(status string) func(*testing.T, *simulator.Cluster) {
	return func(_ *testing.T, c *simulator.Cluster) {
		c.Inject(simulator.Fault{
			Service: simulator.ServiceDTR, Method: http.MethodGet, Path: "/api/v0/jobs", Status: http.StatusOK,
			Body: `{"jobs":[{"id":"1a2b3c","retryFromID":"1a2b3c","action":"metadatastoremigration","status":"` + status +
				`","scheduledAt":"2020-01-02T03:04:05Z","retriesLeft":0,"retriesTotal":2}]}`,
		})
	}
}

// removeContainers removes the containers of a replica, which DTR goes on listing.
func removeContainers(t *testing.T, c *simulator.Cluster, id string) {
	t.Helper()
	client, err := ucp.New(ucp.Config{URL: c.UCPURL(), Username: c.Username(), Password: c.Password(), CACert: c.CACert()})
	must(err)
	engine, err := client.Engine(t.Context())
	must(err)
	for _, ct := range c.Containers() {
		if _, replica, ok := ct.Component(); ok && replica == id {
			must(engine.Discard(t.Context(), ct.ID))
		}
	}
}

// TestPreflightAtPlanAndApply puts one thing at a time in the way of an upgrade
// that was planned without it. The apply of that plan is refused and touches
// nothing, and so is the next plan, unless skip_checks says otherwise.
func TestPreflightAtPlanAndApply(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from, target string // "" is 2.5.6 to 2.6.15
		obstacle     func(*testing.T, *simulator.Cluster)
		want         string
		skip         string // the check, where it can be skipped
		goesOn       bool   // whether the upgrade then succeeds
	}{
		"transition": {
			obstacle: func(_ *testing.T, c *simulator.Cluster) { setAll(c, "2.7.8") },
			want:     "DTR cannot be downgraded\n",
		},
		"mixed versions": {
			obstacle: func(_ *testing.T, c *simulator.Cluster) { c.SetReplicaVersion(c.ReplicaIDs()[2], "2.6.14") },
			want:     "Finish the interrupted DTR upgrade first\n",
		},
		"foreign upgrade": {
			obstacle: func(t *testing.T, c *simulator.Cluster) {
				t.Helper()
				t.Cleanup(c.Hold(simulator.ReplicaStarted(1)))
				c.StartForeignBootstrapper("2.6.15")
				<-c.Reached(simulator.ReplicaStarted(1))
			},
			want: "Another DTR bootstrapper is running\n",
		},
		"migration of an unknown status": {
			from: "2.6.15", target: "2.7.8",
			obstacle: listJob("levitating"),
			want:     "A migration job has an unknown status\n",
		},
		"migration that failed for good": {
			from: "2.6.15", target: "2.7.8",
			obstacle: listJob("errored"),
			want:     "An earlier migration has failed\n",
		},
		"replica health": {
			obstacle: func(_ *testing.T, c *simulator.Cluster) { c.SetReplicaHealth(c.ReplicaIDs()[1], "disconnected") },
			want:     " is not healthy\n", skip: "replica-health",
		},
		"stale report": {
			// DTR calls it unhealthy itself once it has noticed; until then its age tells.
			obstacle: func(_ *testing.T, c *simulator.Cluster) { c.FreezeReplica(c.ReplicaIDs()[1]) },
			want:     "\n\nBring the replica back to health, or remove it from the cluster.", skip: "replica-health",
		},
		"replica without containers": {
			obstacle: func(t *testing.T, c *simulator.Cluster) { t.Helper(); removeContainers(t, c, c.ReplicaIDs()[2]) },
			want:     "UCP shows no container of replica ",
		},
		"address behind a proxy": {
			obstacle: func(_ *testing.T, c *simulator.Cluster) {
				c.Inject(simulator.Fault{Service: simulator.ServiceDTR, Path: "/_ping", Status: http.StatusForbidden})
			},
			want: "DTR's address does not tell DTR's health\n",
		},
		"garbage collection": {
			obstacle: func(_ *testing.T, c *simulator.Cluster) { c.SetGCLock("onlinegc") },
			want:     "A garbage collection is running\n", skip: "garbage-collection", goesOn: true,
		},
		"memory": {
			obstacle: func(_ *testing.T, c *simulator.Cluster) { c.SetMemory("worker1", 8<<30) },
			want:     "Too little memory for the upgrade\n\nNode worker1 has 8.6 GB in all;", skip: "memory", goesOn: true,
		},
		"bootstrapper's image": {
			obstacle: func(_ *testing.T, c *simulator.Cluster) { c.RemoveFromRegistry("mirantis/dtr:2.6.15") },
			want:     "Images of DTR 2.6.15 are not available\n  at image\n\nMissing: mirantis/dtr:2.6.15 on worker1\n", skip: "image",
		},
		"component's image on a node": {
			obstacle: func(_ *testing.T, c *simulator.Cluster) {
				c.AddImage("mirantis/dtr-nginx:2.6.15", "worker1", "worker3")
				c.RemoveFromRegistry("mirantis/dtr-nginx:2.6.15")
			},
			want: "Images of DTR 2.6.15 are not available\n  at image\n\nMissing: mirantis/dtr-nginx:2.6.15 on worker2\n", skip: "image",
		},
		"content trust": {
			obstacle: func(_ *testing.T, c *simulator.Cluster) { c.SetContentTrust(true) },
			want:     "UCP requires signed images\n", skip: "content-trust",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, target := "2.5.6", "2.6.15"
			if c.from != "" {
				from, target = c.from, c.target
			}
			cluster := start(t, from)
			impatient := pace // what may pass by itself is looked at again for that long
			impatient.Consistent = 50 * time.Millisecond
			p := newProtocol(t, append(quick(), WithPace(impatient))...)
			p.ok(nil, p.configure(connected(cluster)))
			config := values{"target_version": target}
			planned := p.plan(nil, config)
			p.ok(nil, planned.diags)
			c.obstacle(t, cluster)

			cluster.ResetRequests()
			refused := p.applyPlan(nil, planned)
			if text := render(refused.diags); !hasErrors(refused.diags) || !strings.Contains(text, c.want) {
				t.Errorf("apply: got:\n%s\nwant in it: %q", text, c.want)
			}
			if refused.state != nil {
				t.Error("a create that was refused saved a state")
			}
			for _, r := range cluster.Requests() {
				if !r.Bootstrapper() && r.Method != http.MethodGet && r.Method != http.MethodHead && r.Path != "/auth/login" {
					t.Errorf("%s %s was sent", r.Method, r.Path)
				}
			}

			again := p.plan(nil, config)
			if text := render(again.diags); !hasErrors(again.diags) || !strings.Contains(text, c.want) {
				t.Errorf("plan: got:\n%s\nwant in it: %q", text, c.want)
			}
			if c.skip == "" {
				return
			}
			config["skip_checks"] = []any{c.skip}
			skipped := p.plan(nil, config)
			p.ok(nil, skipped.diags)
			if text := render(skipped.diags); !strings.Contains(text, c.want) {
				t.Errorf("skipped: got:\n%s\nwant in it: %q", text, c.want)
			}
			if c.goesOn {
				expect(t, p.applyPlan(nil, skipped).diags, "")
				runs(t, cluster, target)
			}
		})
	}
}

// TestPlanWarnsOfAMigrationAtWork holds that the plan says what the apply waits for,
// and that the apply does.
func TestPlanWarnsOfAMigrationAtWork(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	p := planner(t, cluster)
	release := cluster.Hold(simulator.MigrationStarted)
	defer release()
	startMigration(t, cluster)
	<-cluster.Reached(simulator.MigrationStarted)
	planned := p.plan(nil, values{"target_version": "2.7.8"})
	p.ok(nil, planned.diags)
	if text := render(planned.diags); !strings.Contains(text, "Warning: The upgrade waits for a migration\n") {
		t.Errorf("got:\n%s", text)
	}
	cluster.At(simulator.BootstrapperStarted, func() {
		if jobs := cluster.Jobs(); jobs[0].Status != "done" {
			t.Errorf("the bootstrapper was started beside %+v", jobs)
		}
	})
	release()
	expect(t, p.applyPlan(nil, planned).diags, "")
	runs(t, cluster, "2.7.8")
}
