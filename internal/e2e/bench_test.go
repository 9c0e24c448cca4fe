//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/e2e/rig"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

var benchmarkedReplicas = []int{1, 3, 7}

// stepEnded is a line of the log at the end of a step of the run.
var stepEnded = regexp.MustCompile(`Step (\w+) ended:.* elapsed=(\S+)`)

// BenchmarkApply compares an apply with what an operator would do without
// Terraform, on the same cluster: pull the image, run the bootstrapper, and look
// at the migration job every second until it is done. What is simulated goes
// faster than on a real cluster, so the ratio there is lower than it is here. Where the
// apply's seconds go is told by step.
func BenchmarkApply(b *testing.B) {
	for _, n := range benchmarkedReplicas {
		b.Run(fmt.Sprintf("replicas=%d", n), func(b *testing.B) {
			repository, _ := publish(b, "2.6.15")
			if err := engines.Pull(b.Context(), release.Bundle(repository, "2.6.15")); err != nil {
				b.Fatal(err)
			}
			fresh := func() *simulator.Cluster {
				return arrange(b, n, "2.5.6", func(string) string { return "2.5.6" })
			}
			var bare, apply time.Duration
			steps := map[string]time.Duration{}
			for b.Loop() {
				c := fresh()
				began := time.Now()
				upgradeByHand(b, c, repository)
				bare += time.Since(began)

				w := newStage(b, fresh(), settings{Target: "2.6.15", Repository: repository})
				began = time.Now()
				w.mustApply(b)
				took := time.Since(began)
				apply += took
				for _, step := range stepEnded.FindAllStringSubmatch(w.log(b), -1) {
					elapsed, err := time.ParseDuration(step[2])
					if err != nil {
						b.Fatal(err)
					}
					steps[step[1]] += elapsed
					took -= elapsed
				}
				steps["rest"] += took // Terraform, its plan, and the checks before and after the steps
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(bare.Seconds()/float64(b.N), "bare-s")
			b.ReportMetric(apply.Seconds()/float64(b.N), "apply-s")
			b.ReportMetric(apply.Seconds()/bare.Seconds(), "ratio")
			if len(steps) < 5 {
				b.Errorf("the log has these steps alone: %v", steps)
			}
			for step, took := range steps {
				b.ReportMetric(took.Seconds()/float64(b.N), step+"-s")
			}
		})
	}
}

func upgradeByHand(t testing.TB, c *simulator.Cluster, repository string) {
	t.Helper()
	s := through(t, c, repository)
	image := repository + ":2.6.15"
	pull(t, s, image)
	id := s.run(t, "by-hand", object{
		"Image": image, "Cmd": []string{"upgrade", "--existing-replica-id", rig.Replica(1)},
		"Env": []string{
			"UCP_URL=" + c.UCPURL(), "UCP_USERNAME=" + c.Username(), "UCP_PASSWORD=" + c.Password(), "UCP_CA=" + c.CACert(),
			"constraint:node==worker1",
		},
	})
	if state := s.state(t, id); state["ExitCode"] != float64(0) {
		t.Fatalf("the bootstrapper: %v\n%s", state, s.logs(t, id, "stdout=1"))
	}
	for !migrated(t, s.client, c) {
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(time.Second):
		}
	}
}

// migrated says whether DTR's migration job is done.
func migrated(t testing.TB, client *http.Client, c *simulator.Cluster) bool {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.DTRURL()+"/api/v0/jobs?action=metadatastoremigration&worker=any", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(c.Username(), c.Password())
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var list struct{ Jobs []struct{ Status string } }
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	return len(list.Jobs) > 0 && list.Jobs[0].Status == "done"
}
