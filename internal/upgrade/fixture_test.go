package upgrade

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// observation is a healthy cluster, one replica for each version, on which
// nothing stands in the way of an upgrade to 2.6 or 2.7.
func observation(replicas ...string) *Observation {
	return &Observation{
		Seen: migration.Seen{
			Snapshot: clustertest.Snapshot(replicas...),
			Jobs:     map[string][]dtr.Job{},
			Features: dtr.Features{OnlineGCEnabled: true}, // nobody owes a migration
		},
		Images:  images.NewLookup(images.Source{}, nil),
		Version: ucp.Version{Engine: "18.09.0", UCP: "3.1.0"},
	}
}

// check is Preflight with the source of images that the options name.
func check(obs *Observation, o Options) (Plan, preflight.Findings) {
	obs.Images.Source = o.Images
	return Preflight(obs, o)
}

func options(target string, via ...string) Options {
	return Options{Target: clustertest.Version(target), Via: clustertest.Versions(via...)}
}

// to are the options of a run to a version.
func to(target string, via ...string) Options {
	o := options(target, via...)
	o.Retriggers = 1
	o.Pace = clustertest.Pace
	return o
}

// runUpgrade runs with a limit that only a run that hangs comes to.
func runUpgrade(t *testing.T, c cluster.Cluster, o Options) (*Report, error) {
	t.Helper()
	return Run(clustertest.Limited(t), c, o)
}

// finish runs, and fails unless the target is reached with so many runs of the
// bootstrapper in all.
func finish(t *testing.T, sim *simulator.Cluster, c cluster.Cluster, o Options, runs int) {
	t.Helper()
	if _, err := runUpgrade(t, c, o); err != nil {
		t.Fatal(err)
	}
	clustertest.WantAt(t, sim, o.Target.String())
	clustertest.WantNoBootstrapper(t, sim)
	if got := sim.BootstrapperRuns(); got != runs {
		t.Errorf("%d bootstrapper runs, want %d", got, runs)
	}
}

// addCache registers a content cache in DTR.
func addCache(t *testing.T, sim *simulator.Cluster) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(sim.CACert()))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	defer client.CloseIdleConnections()
	body := strings.NewReader(`{"name":"branch","host":"https://cache.example.com"}`)
	request := clustertest.Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPost, sim.DTRURL()+"/api/v0/content_caches", body))
	request.Header.Set("Content-Type", "application/json")
	request.SetBasicAuth(sim.Username(), sim.Password())
	response := clustertest.Must[*http.Response](t)(client.Do(request))
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("registering a content cache: %s", response.Status)
	}
}

// summaries are the findings in one line.
func summaries(f preflight.Findings) string {
	var all []string
	for _, x := range f {
		all = append(all, x.Summary)
	}
	return strings.Join(all, "; ")
}
