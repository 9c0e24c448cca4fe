package upgrade

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// soon are the options of a run that gives up on a cluster that stays ill.
func soon(target string) Options {
	o := to(target)
	o.Pace.Healthy = time.Second
	return o
}

// TestRunVerifiesWhatIsAtTheTarget has nothing to upgrade, and a cluster that is not
// whole: as long as nobody has verified it, that is no success.
func TestRunVerifiesWhatIsAtTheTarget(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		obstacle func(*testing.T, *simulator.Cluster, string) // on the replica
		skip     bool
		says     string // in the error, "" for none
	}{
		"nothing is wrong": {obstacle: func(*testing.T, *simulator.Cluster, string) {}},
		"a replica is ill": {
			obstacle: func(_ *testing.T, sim *simulator.Cluster, id string) { sim.SetReplicaHealth(id, "broken") },
			says:     "is not healthy",
		},
		"a replica is ill, which is accepted": {
			obstacle: func(_ *testing.T, sim *simulator.Cluster, id string) { sim.SetReplicaHealth(id, "broken") },
			skip:     true,
		},
		"a container has ended, and health is accepted": {
			obstacle: func(_ *testing.T, sim *simulator.Cluster, id string) { sim.KillContainer("dtr-registry-" + id) },
			skip:     true, says: "do not run",
		},
		"a container restarts after the checks": {
			obstacle: func(t *testing.T, sim *simulator.Cluster, id string) {
				t.Helper()
				lists := 0
				sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
					for _, l := range list {
						if strings.HasSuffix(l.Name(), "dtr-jobrunner-"+id) && lists > 1 { // the checks read it in two steps
							l["State"], l["Status"] = "restarting", "Restarting (1) 2 seconds ago"
						}
					}
					lists++
					return list
				}))
			},
			says: "is restarting",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.17")
			tt.obstacle(t, sim, sim.ReplicaIDs()[2])
			o := soon("2.5.17")
			if tt.skip {
				o.SkipChecks = map[preflight.Check]bool{preflight.ReplicaHealth: true}
			}
			report, err := runUpgrade(t, c, o)
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
			if report.Worked() || len(clustertest.Changes(sim)) > 0 {
				t.Errorf("something was changed: %v", clustertest.Changes(sim))
			}
			o.Applied = o.Target
			if _, err := runUpgrade(t, c, o); err != nil {
				t.Errorf("what was verified once is verified again: %v", err)
			}
		})
	}
}

// TestRunVerifiesAfterItsRecordIsGone removes the container that tells of an upgrade
// whose verification has failed, as docker container prune does.
func TestRunVerifiesAfterItsRecordIsGone(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	ill := sim.ReplicaIDs()[2]
	sim.At(simulator.BootstrapperFinished, func() { sim.SetReplicaHealth(ill, "Rethink replica is currently in state: disconnected") })
	o := soon("2.5.17")
	o.Applied = clustertest.Version("2.5.6")
	report, err := runUpgrade(t, c, o)
	_ = clustertest.AsError[*cluster.VerifyError](t, err)
	engine, err := c.UCP.Engine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Remove(t.Context(), cluster.ContainerName(report.Inventory.Host)); err != nil {
		t.Fatal(err)
	}
	if _, err := runUpgrade(t, c, o); err == nil || !strings.Contains(err.Error(), ill) {
		t.Errorf("got %v with a replica that never became healthy", err)
	}
	sim.SetReplicaHealth(ill, "")
	finish(t, sim, c, o, 1)
}

// TestSkippedHealthCanSucceed follows the advice to skip the check of the replicas'
// health. Where it cannot lead to success it is not given.
func TestSkippedHealthCanSucceed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ill     func(*simulator.Cluster, string)
		advised bool
	}{
		"unhealthy": {func(sim *simulator.Cluster, id string) {
			sim.SetReplicaHealth(id, "Rethink replica is currently in state: disconnected")
		}, true},
		"frozen": {(*simulator.Cluster).FreezeReplica, true},
		"listed without containers": {func(sim *simulator.Cluster, _ string) {
			sim.Inject(alsoListed("0123456789ab", "worker9"))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			tt.ill(sim, sim.ReplicaIDs()[2])
			o := soon("2.5.17")
			_, err := runUpgrade(t, c, o)
			findings := clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors()
			advises := func(kind preflight.AdviceKind) bool {
				return slices.ContainsFunc(findings, func(f preflight.Finding) bool {
					return slices.ContainsFunc(f.Advice, func(a preflight.Advice) bool { return a.Kind == kind })
				})
			}
			if advises(preflight.SkipCheck) != tt.advised || advises(preflight.RemoveReplica) == tt.advised {
				t.Errorf("advice: %+v", findings)
			}
			o.SkipChecks = map[preflight.Check]bool{preflight.ReplicaHealth: true}
			if tt.advised {
				finish(t, sim, c, o, 1)
				return
			}
			_, err = runUpgrade(t, c, o)
			_ = clustertest.AsError[*preflight.FailedError](t, err)
			if n := sim.BootstrapperRuns(); n > 0 {
				t.Errorf("%d bootstrappers were run on a cluster that cannot be verified", n)
			}
		})
	}
}

// alsoListed has DTR list one more replica.
func alsoListed(id, node string) simulator.Fault {
	return simulator.Fault{
		Service: simulator.ServiceDTR, Path: "/api/v0/meta/settings",
		Rewrite: func(status int, body []byte) (int, []byte) {
			var settings map[string]any
			_ = json.Unmarshal(body, &settings)
			settings["replicaSettings"].(map[string]any)[id] = map[string]any{"HTTPPort": 80, "HTTPSPort": 443, "node": node}
			body, _ = json.Marshal(settings)
			return status, body
		},
	}
}

// also has UCP list one more container.
func also(t *testing.T, name, image, command, state, status string) simulator.Fault {
	t.Helper()
	return clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
		return append(list, clustertest.Listed{
			"Id": "feed", "Names": []any{"/" + name}, "Image": image, "ImageID": "sha256:1", "Command": command,
			"State": state, "Status": status, "Created": 1500000000, "Labels": map[string]string{},
		})
	})
}

// TestRunBesideOtherContainers has containers on UCP that are no part of this cluster.
func TestRunBesideOtherContainers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ name, image, command, state, status string }{
		"left over, at an earlier version":  {"worker2/dtr-nginx-0123456789ab", "docker/dtr-nginx:2.4.3", "nginx", "exited", "Exited (0) 2 years ago"},
		"left over, at the version":         {"worker2/dtr-nginx-0123456789ab", "docker/dtr-nginx:2.5.6", "nginx", "exited", "Exited (0) 2 years ago"},
		"left over of another DTR's, later": {"worker2/dtr-nginx-0123456789ab", "docker/dtr-nginx:2.9.1", "nginx", "running", "Up 3 weeks"},
		"another program whose name is dtr": {"worker2/reports_dtr.1.abc", "registry.example.com/finance/dtr:4.1", "java -jar daily-trade-report.jar", "running", "Up 3 weeks"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Connect(t, simulator.Options{
				Version: "2.5.6", Speed: clustertest.Speed, Unlisted: []simulator.UnlistedReplica{}, // none but these
			})
			sim.Inject(also(t, tt.name, tt.image, tt.command, tt.state, tt.status))
			o := soon("2.5.17")
			_, found := Preflight(clustertest.Must[*Observation](t)(Observe(t.Context(), c, o)), o)
			report, err := runUpgrade(t, c, o)
			if err != nil {
				t.Fatal(err)
			}
			clustertest.WantAt(t, sim, "2.5.17")
			const warning = "that DTR does not list"
			if of := strings.Contains(tt.name, "0123456789ab"); of != strings.Contains(summaries(found), warning) || strings.Contains(summaries(report.Warnings), warning) {
				t.Errorf("warnings: %s; and in the end: %s", summaries(found), summaries(report.Warnings))
			}
		})
	}
}

// TestBootstrapperOfAMirrorIsForeign has another one's bootstrapper, whose image only
// the configuration or the command line tells.
func TestBootstrapperOfAMirrorIsForeign(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ image, command string }{
		"command line":             {"registry.example.com/docker/dtr:2.5.17", "/bin/dtr upgrade"},
		"repository is configured": {"registry.example.com/team/installer:2.5.17", "/start"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			sim.Inject(also(t, "worker2/eager_turing", tt.image, tt.command, "running", "Up 2 minutes"))
			o := soon("2.5.17")
			o.Images.Repository = "registry.example.com/team/installer"
			obs, err := Observe(t.Context(), c, o)
			if err != nil {
				t.Fatal(err)
			}
			_, findings := Preflight(obs, o)
			findingOf(t, findings, preflight.ForeignUpgrade, "eager_turing")
		})
	}
}

// TestNoStartWhileReplicasAreHidden has UCP forget two nodes once the bootstrapper's
// container is made: nothing is started on what is left.
func TestNoStartWhileReplicasAreHidden(t *testing.T) {
	t.Parallel()
	for name, times := range map[string]int{"for good": 0, "for one look": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			hide := clustertest.ChangeList(t, clustertest.Hide("worker2", "worker3"))
			hide.Times = times
			sim.Inject(simulator.Fault{
				Service: simulator.ServiceEngine, Method: http.MethodPost, Path: "/containers/create", Times: 1,
				Rewrite: func(status int, body []byte) (int, []byte) {
					sim.Inject(hide)
					return status, body
				},
			})
			o := soon("2.5.17")
			if times > 0 {
				finish(t, sim, c, o, 1)
				return
			}
			_, err := runUpgrade(t, c, o)
			if changed := clustertest.AsError[*ClusterChangedError](t, err); len(changed.Missing) != 2 {
				t.Errorf("got %v", changed)
			}
			if n := sim.BootstrapperRuns(); n > 0 {
				t.Errorf("%d bootstrappers were started", n)
			}
			clustertest.WantNoBootstrapper(t, sim)
		})
	}
}

// TestNoRepairForOneIncompleteList has one container missing in the lists, the last time
// when the bootstrapper for a repair is about to be started.
func TestNoRepairForOneIncompleteList(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.17")
	made := func(l clustertest.Listed) bool { return strings.Contains(l.Name(), "/dtr-upgrade-") }
	over := false
	sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
		if over {
			return list
		}
		over = slices.ContainsFunc(list, made)
		return slices.DeleteFunc(list, func(l clustertest.Listed) bool { return strings.HasPrefix(l.Name(), "worker3/dtr-nginx-") })
	}))
	finish(t, sim, c, to("2.5.17"), 0)
	if !over {
		t.Error("no bootstrapper was about to be started")
	}
}

// TestAddressThatDoesNotTellHealth has a proxy that lets DTR's API pass, and not the
// question that the verification asks.
func TestAddressThatDoesNotTellHealth(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	for _, path := range []string{"/_ping", "/health"} {
		sim.Inject(simulator.Fault{Service: simulator.ServiceDTR, Path: path, Status: http.StatusForbidden})
	}
	_, err := runUpgrade(t, c, soon("2.5.17"))
	findings := clustertest.AsError[*preflight.FailedError](t, err).Findings
	clustertest.WantChecks(t, findings, preflight.Address)
	if changes := clustertest.Changes(sim); len(changes) > 0 {
		t.Errorf("made %v", changes)
	}
}

// TestNextHopOutlivesOneIncompleteList has UCP forget a node while the second hop is
// checked.
func TestNextHopOutlivesOneIncompleteList(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.5.6")
	hide := clustertest.ChangeList(t, clustertest.Hide("worker3"))
	hide.Times = 1
	sim.At(simulator.BootstrapperRemoved, func() { sim.Inject(hide) })
	o := to("2.6.15", "2.5.17")
	finish(t, sim, c, o, 2)
}

// TestAdoptionOf22 adopts a cluster whose replicas have the names of 2.2.
func TestAdoptionOf22(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.2.5")
	sim.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
		for _, l := range list {
			l["Names"] = []any{strings.Replace("/"+l.Name(), "dtr-scanningstore-", "dtr-nautilusstore-", 1)}
		}
		return list
	}))
	finish(t, sim, c, soon("2.2.5"), 0)
	finish(t, sim, c, soon("2.2.11"), 1)
}
