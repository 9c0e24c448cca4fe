package simulator_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

const migration = "metadatastoremigration"

// upgraded is a cluster that went from 2.5 to 2.6.
func upgraded(t *testing.T, f simulator.MigrationFaults) *simulator.Cluster {
	t.Helper()
	c := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	c.SetMigration(f)
	if status, output := upgradeTo(c, "docker/dtr:2.6.8").run(t, c); status != 0 {
		t.Fatalf("exit status %d\n%s", status, output)
	}
	return c
}

// words are the status words of the attempts, oldest first.
func words(c *simulator.Cluster) []string {
	list := []string{}
	for _, j := range slices.Backward(jobsOf(c, migration)) {
		list = append(list, j.Status)
	}
	return list
}

func awaitWords(t *testing.T, c *simulator.Cluster, want ...string) {
	t.Helper()
	eventually(t, "the attempts are "+cmp.Diff(nil, want), func() bool { return slices.Equal(words(c), want) })
}

type features struct{ MetadataStoreOptedIn, OnlineGCEnabled bool }

func featuresOf(t *testing.T, c *simulator.Cluster) (f features) {
	t.Helper()
	newAPI(t, c).get("/api/v0/meta/features", &f)
	return f
}

func TestMigrationStartsByItself(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	if got := featuresOf(t, c); got != (features{}) {
		t.Errorf("on 2.5: %+v", got)
	}
	finished := c.Hold(simulator.BootstrapperFinished)
	release := c.Hold(simulator.MigrationStarted)
	d := docker(t, c)
	id := upgradeTo(c, "docker/dtr:2.6.8").start(t, d)
	<-c.Reached(simulator.BootstrapperFinished)
	if got := words(c); len(got) != 0 {
		t.Errorf("before the upgrade ended: %v", got)
	}
	finished()
	if status, _ := wait(t, d, id); status != 0 {
		t.Fatalf("exit status %d", status)
	}
	<-c.Reached(simulator.MigrationStarted)
	job := jobsOf(c, migration)[0]
	if job.Status != "running" || job.RetriesTotal != 2 || job.RetriesLeft != 2 || job.RetryFromID != job.ID || !slices.Contains(c.ReplicaIDs(), job.WorkerID) {
		t.Errorf("%+v", job)
	}
	if got := featuresOf(t, c); got != (features{MetadataStoreOptedIn: true}) {
		t.Errorf("while it runs: %+v", got)
	}
	release()
	awaitWords(t, c, "done")
	<-c.Reached(simulator.MigrationFinished)
	if got := featuresOf(t, c); got != (features{true, true}) {
		t.Errorf("afterwards: %+v", got)
	}
	if status, _ := upgradeTo(c, "docker/dtr:2.7.4").run(t, c); status != 0 || len(words(c)) != 1 {
		t.Errorf("after another hop: %d, %v", status, words(c))
	}
}

func TestMigrationFails(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fail int
		want []string
	}{
		"once":        {1, []string{"errored", "done"}},
		"twice":       {2, []string{"errored", "errored", "done"}},
		"three times": {3, []string{"errored", "errored", "errored"}},
		"for ever":    {-1, []string{"errored", "errored", "errored"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := upgraded(t, simulator.MigrationFaults{Fail: tc.fail})
			awaitWords(t, c, tc.want...)
			list := jobsOf(c, migration)
			slices.Reverse(list)
			for i, j := range list {
				first := max(i-1, 0)
				if j.RetriesLeft != 2-i || j.RetriesTotal != 2 || j.RetryFromID != list[first].ID {
					t.Errorf("attempt %d: %+v", i+1, j)
				}
			}
			if tc.fail < 0 {
				return
			}
			// By hand it is a fresh job, without retries of its own.
			a := newAPI(t, c)
			if got := a.post(jobsPath, `{"action":"metadatastoremigration"}`); got.status != http.StatusAccepted {
				t.Fatalf("%d", got.status)
			}
			awaitWords(t, c, append(tc.want, "done")...)
			if j := jobsOf(c, migration)[0]; j.RetriesTotal != 0 || j.RetryFromID != j.ID {
				t.Errorf("by hand: %+v", j)
			}
			var lines []struct{ Data string }
			a.get(jobsPath+"/"+list[0].ID+"/logs", &lines)
			if len(lines) < 3 {
				t.Errorf("log of the first attempt: %v", lines)
			}
		})
	}
}

func TestMigrationStatusWord(t *testing.T) {
	t.Parallel()
	c := upgraded(t, simulator.MigrationFaults{Status: "exploded"})
	awaitWords(t, c, "exploded")
}

func TestMigrationNeverStarts(t *testing.T) {
	t.Parallel()
	c := upgraded(t, simulator.MigrationFaults{NeverStart: true})
	newAPI(t, c).post(jobsPath, `{"action":"metadatastoremigration"}`)
	awaitWords(t, c, "done") // the one by hand, and no other
}

func TestMigrationAlreadyDone(t *testing.T) {
	t.Parallel()
	c := upgraded(t, simulator.MigrationFaults{AlreadyDone: true})
	if got := words(c); !slices.Equal(got, []string{"done"}) {
		t.Errorf("%v", got)
	}
	if got := featuresOf(t, c); got != (features{true, true}) {
		t.Errorf("%+v", got)
	}
}

func TestNoMigrationWhereNoneIsDue(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		from, image string
		faults      simulator.BootstrapperFaults
	}{
		"patch of 2.5":       {"2.5.6", "docker/dtr:2.5.7", simulator.BootstrapperFaults{}},
		"patch of 2.6":       {"2.6.8", "docker/dtr:2.6.9", simulator.BootstrapperFaults{}},
		"died":               {"2.5.6", "docker/dtr:2.6.8", simulator.BootstrapperFaults{DieAtReplica: 3}},
		"died, says it well": {"2.5.6", "docker/dtr:2.6.8", simulator.BootstrapperFaults{DieAtReplica: 2, ClaimSuccess: true}},
		"replica left out":   {"2.5.6", "docker/dtr:2.6.8", simulator.BootstrapperFaults{SkipReplica: 1}},
		"job runners left":   {"2.5.6", "docker/dtr:2.6.8", simulator.BootstrapperFaults{LeaveOldPart: "jobrunner"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := simulatortest.Start(t, simulator.Options{Version: tc.from})
			c.SetBootstrapper(tc.faults)
			upgradeTo(c, tc.image).run(t, c)
			// Whatever DTR schedules by itself comes before this job is done.
			newAPI(t, c).post(jobsPath, `{"action":"sleep"}`)
			eventually(t, "the other job is done", func() bool { return jobsOf(c, "sleep")[0].Status == "done" })
			if got := words(c); len(got) != 0 {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestMigrationMovesToAnotherWorker(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	release := c.Hold(simulator.MigrationStarted)
	if status, _ := upgradeTo(c, "docker/dtr:2.6.8").run(t, c); status != 0 {
		t.Fatalf("exit status %d", status)
	}
	<-c.Reached(simulator.MigrationStarted)
	worker := jobsOf(c, migration)[0].WorkerID
	c.KillContainer("dtr-jobrunner-" + worker)
	release()
	awaitWords(t, c, "done")
	if got := jobsOf(c, migration)[0].WorkerID; got == worker {
		t.Errorf("done by %s, which is dead", got)
	}
}

func TestMigrationWaitsForAWorker(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Replicas: 1})
	runner := "dtr-jobrunner-" + c.ReplicaIDs()[0]
	c.KillContainer(runner)
	newAPI(t, c).post(jobsPath, `{"action":"metadatastoremigration"}`)
	if _, err := docker(t, c).ContainerStart(t.Context(), runner, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitWords(t, c, "done")
}
