package upgrade

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// pulls are the requests for images that a registry would have to answer.
func pulls(sim *simulator.Cluster) (list []string) {
	for _, r := range sim.Requests() {
		if strings.HasSuffix(r.Path, "/images/create") || strings.Contains(r.Path, "/distribution/") {
			list = append(list, r.Path+"?"+r.Query)
		}
	}
	return list
}

func loads(sim *simulator.Cluster) (n int) {
	for _, r := range sim.Requests() {
		if strings.HasSuffix(r.Path, "/images/load") {
			n++
		}
	}
	return n
}

// noRegistry takes every image of a version away from the registry.
func noRegistry(sim *simulator.Cluster, repository string, versions ...string) {
	for _, v := range versions {
		for _, image := range release.Bundle(repository, v) {
			sim.RemoveFromRegistry(image)
		}
	}
}

func TestRunLoadsArchives(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		file, repository string
		direct           bool
		pull             images.PullPolicy
		loads            int
	}{
		"compressed":                             {file: "dtr_images.tar.gz", repository: "mirantis/dtr", loads: 2},
		"plain":                                  {file: "dtr_images.tar", repository: "mirantis/dtr", loads: 2},
		"a mirror's names":                       {file: "dtr_images.tar.gz", repository: "registry.example.com/mirror/dtr", loads: 2},
		"on an engine of UCP":                    {file: "dtr_images.tar.gz", repository: "mirantis/dtr", direct: true, loads: 2},
		"nothing is to be pulled anyway":         {file: "dtr_images.tar.gz", repository: "mirantis/dtr", pull: images.PullNever, loads: 2},
		"everything else is always to be pulled": {file: "dtr_images.tar.gz", repository: "mirantis/dtr", pull: images.PullAlways, loads: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			if tt.direct {
				c.Docker = cluster.NewDocker(ucp.DockerConfig{Host: sim.DockerHost()})
			}
			noRegistry(sim, "mirantis/dtr", "2.6.15", "2.7.8")
			o := to("2.7.8", "2.6.15")
			o.Images.Repository, o.Images.Pull = tt.repository, tt.pull
			o.Images.Archives = map[string]string{"2.6.15": clustertest.Bundle(t, tt.repository, "2.6.15", tt.file), "2.7.8": clustertest.Bundle(t, tt.repository, "2.7.8", tt.file)}
			if _, err := runUpgrade(t, c, o); err != nil {
				t.Fatal(err)
			}
			clustertest.WantAt(t, sim, "2.7.8")
			if got := pulls(sim); len(got) > 0 {
				t.Errorf("the registry was asked: %v", got)
			}
			if got := loads(sim); got != tt.loads {
				t.Errorf("%d loads, want %d", got, tt.loads)
			}
			for _, c := range sim.Containers() {
				if _, _, ok := c.Component(); ok && c.Running() && !strings.HasPrefix(c.Image, tt.repository) {
					t.Errorf("%s runs %s", c.Name, c.Image)
				}
			}
		})
	}
}

// The engine that runs the bootstrapper need not be one of UCP's.
func TestRunLoadsOnAnotherEngineToo(t *testing.T) {
	t.Parallel()
	sim, c := small(t, "2.5.6")
	elsewhere, _ := small(t, "2.6.8")
	c.Docker = cluster.NewDocker(ucp.DockerConfig{Host: elsewhere.DockerHost()})
	noRegistry(sim, "mirantis/dtr", "2.6.15")
	noRegistry(elsewhere, "mirantis/dtr", "2.6.15")
	o := to("2.6.15")
	o.Images.Archives = map[string]string{"2.6.15": clustertest.Bundle(t, "mirantis/dtr", "2.6.15", "dtr_images.tar.gz")}
	if _, err := runUpgrade(t, c, o); err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, "2.6.15")
	if here, there := loads(sim), loads(elsewhere); here != 1 || there != 1 {
		t.Errorf("%d loads through UCP and %d on the other engine", here, there)
	}
}

func TestRunLoadsOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	sim, c := small(t, "2.5.6")
	sim.AddBundle("2.6.15")
	noRegistry(sim, "mirantis/dtr", "2.6.15")
	o := to("2.6.15")
	o.Images.Archives = map[string]string{"2.6.15": filepath.Join(t.TempDir(), "already deleted.tar.gz")}
	if _, err := runUpgrade(t, c, o); err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, "2.6.15")
	if n := loads(sim); n > 0 {
		t.Errorf("%d loads of what is there", n)
	}
}

// TestRunChecksArchivesFirst has the archive of the last hop be no good: the first
// one is not begun.
func TestRunChecksArchivesFirst(t *testing.T) {
	t.Parallel()
	good := clustertest.Bundle(t, "mirantis/dtr", "2.7.8", "dtr_images.tar")
	whole := clustertest.Must[[]byte](t)(os.ReadFile(good))
	zipped := clustertest.Must[[]byte](t)(os.ReadFile(clustertest.Bundle(t, "mirantis/dtr", "2.7.8", "dtr_images.tar.gz")))
	var empty bytes.Buffer
	w := tar.NewWriter(&empty)
	_ = w.WriteHeader(&tar.Header{Name: "README", Mode: 0o644})
	_ = w.Close()
	wrong := clustertest.Must[[]byte](t)(os.ReadFile(clustertest.Bundle(t, "mirantis/dtr", "2.7.7", "dtr_images.tar")))
	for name, tt := range map[string]struct {
		content []byte // nil for no file
		says    string
	}{
		"no file":             {nil, "no such file"},
		"an empty file":       {[]byte{}, "It is not an archive of images"},
		"text":                {[]byte(strings.Repeat("not an archive\n", 100)), "It is not an archive of images"},
		"another version":     {wrong, "Missing: mirantis/dtr:2.7.8, and the images of all its parts\nIt holds: mirantis/dtr-api:2.7.7,"},
		"one image renamed":   {bytes.Replace(whole, []byte(`"mirantis/dtr-nginx:`), []byte(`"mirantis/dtr-ngiNX:`), 1), "\nMissing: mirantis/dtr-nginx:2.7.8\nIt holds: "},
		"cut":                 {whole[:len(whole)/2+100], "It is not complete"},
		"compressed, and cut": {zipped[:len(zipped)-20], "It is not complete"},
		"a wrong sum":         {append(slices.Clone(zipped[:len(zipped)-6]), 0, 0, 0, 0, 0, 0), "It is not complete"},
		"no manifest":         {empty.Bytes(), "it holds no manifest.json"},
		"a bad manifest":      {bytes.Replace(whole, []byte(`[{"Config"`), []byte(`<{"Config"`), 1), "its manifest.json cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := small(t, "2.5.6")
			o := to("2.7.8", "2.6.15")
			file := filepath.Join(t.TempDir(), "archive")
			o.Images.Archives = map[string]string{"2.7.8": file}
			if tt.content != nil {
				if err := os.WriteFile(file, tt.content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := runUpgrade(t, c, o)
			errs := clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors()
			if len(errs) != 1 || errs[0].Attribute != `image.archives["2.7.8"]` || !strings.Contains(strings.ToLower(errs[0].Seen), strings.ToLower(tt.says)) || !strings.Contains(errs[0].Seen, file) {
				t.Errorf("got %+v, want it to say %q", errs, tt.says)
			}
			if did := clustertest.Changes(sim); len(did) > 0 {
				t.Errorf("something was touched: %v", did)
			}
		})
	}
}

// TestArchiveOfAnotherRepository holds that an archive of the right version names the
// repository to set.
func TestArchiveOfAnotherRepository(t *testing.T) {
	t.Parallel()
	for repository, want := range map[string][]preflight.Advice{
		"docker/dtr":                 {{Kind: preflight.UseRepository, Value: "docker/dtr"}},
		"reg.example.com/mirror/dtr": {{Kind: preflight.UseRepository, Value: "reg.example.com/mirror/dtr"}},
	} {
		_, c := small(t, "2.5.6")
		o := to("2.6.15")
		o.Images.Archives = map[string]string{"2.6.15": clustertest.Bundle(t, repository, "2.6.15", "dtr_images.tar.gz")}
		_, err := runUpgrade(t, c, o)
		errs := clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors()
		if len(errs) != 1 || !slices.Equal(errs[0].Advice, want) || !strings.Contains(errs[0].Seen, "Missing: mirantis/dtr:2.6.15, and the images of all its parts\n") {
			t.Errorf("%s: got %+v", repository, errs)
		}
	}
}

// TestRunLooksAgainAfterALoad has the engine fail, or claim a success.
func TestRunLooksAgainAfterALoad(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault simulator.Fault
		says  string
	}{
		"an error answer":        {simulator.Fault{Status: 500, Body: `{"message":"no space left on device"}`}, "no space left on device"},
		"an error in the stream": {simulator.Fault{Status: 200, Body: `{"stream":"Loading"}` + "\n" + `{"errorDetail":{"message":"no space left on device"},"error":"no space left on device"}`}, "no space left on device"},
		"nothing was loaded":     {simulator.Fault{Status: 200, Body: `{"stream":"Loaded image: mirantis/dtr:2.6.15"}`}, "mirantis/dtr-rethink:2.6.15 on worker2"},
		"the line breaks":        {simulator.Fault{Reset: true}, "load images"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, c := clustertest.Start(t, "2.5.6")
			tt.fault.Service, tt.fault.Path = simulator.ServiceEngine, "/images/load"
			mend := sim.Inject(tt.fault)
			o := to("2.6.15")
			o.Images.Archives = map[string]string{"2.6.15": clustertest.Bundle(t, "mirantis/dtr", "2.6.15", "dtr_images.tar.gz")}
			if tt.fault.Reset {
				o.Pace.Outage = time.Second
			}
			_, err := runUpgrade(t, c, o)
			failure := clustertest.AsError[*images.BringError](t, err)
			if failure.Version != "2.6.15" || !strings.Contains(failure.Error(), tt.says) {
				t.Errorf("got %v, want it to say %q", failure, tt.says)
			}
			if sim.BootstrapperRuns() > 0 {
				t.Error("the upgrade was begun")
			}
			mend()
			if _, err := runUpgrade(t, c, o); err != nil {
				t.Fatal(err)
			}
			clustertest.WantAt(t, sim, "2.6.15")
		})
	}
}

// A backup is taken by the version that runs, whose image may come out of an
// archive, too.
func TestBackupImageFromAnArchive(t *testing.T) {
	t.Parallel()
	sim, c := small(t, "2.5.6")
	sim.RemoveFromRegistry("docker/dtr:2.5.6")
	o := backingUp(t, "2.5.17")
	_, err := runUpgrade(t, c, o)
	findingOf(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.Image, "docker/dtr:2.5.6")
	o.Images.Archives = map[string]string{"2.5.6": filepath.Join(t.TempDir(), "nowhere.tar.gz")}
	_, err = runUpgrade(t, c, o)
	findingOf(t, clustertest.AsError[*preflight.FailedError](t, err).Findings.Errors(), preflight.Image, "nowhere.tar.gz")
	o.Images.Archives = map[string]string{"2.5.6": clustertest.Bundle(t, "docker/dtr", "2.5.6", "dtr_images.tar.gz")}
	if _, err := runUpgrade(t, c, o); err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, "2.5.17")
	wantBackup(t, o.Backup.File, "2.5.6")
	if n := loads(sim); n != 1 {
		t.Errorf("%d loads", n)
	}
}
