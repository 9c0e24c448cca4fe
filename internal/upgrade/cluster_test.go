package upgrade

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// testSpeed makes a rollout of three replicas take a fraction of a second.
const testSpeed = 2000

// testPace suits that speed. Its limits are far beyond what a run takes that
// goes well, also on a busy machine.
var testPace = Pace{
	Poll:           20 * time.Millisecond,
	Probe:          25 * time.Millisecond,
	Consistent:     300 * time.Millisecond,
	Healthy:        time.Minute,
	MigrationStart: time.Minute,
	Outage:         time.Minute,
}

// testRetry gives up on an answer after a few tries in quick succession.
var testRetry = dtr.RetryConfig{Max: 3, WaitMin: time.Millisecond, WaitMax: 10 * time.Millisecond}

// start simulates a cluster of three replicas and connects to it.
func start(t *testing.T, version string) (*simulator.Cluster, Cluster) {
	t.Helper()
	return connect(t, simulator.Options{Version: version, Replicas: 3, Speed: testSpeed})
}

func connect(t *testing.T, o simulator.Options) (*simulator.Cluster, Cluster) {
	t.Helper()
	sim := simulatortest.Start(t, o)
	return sim, Cluster{
		DTR: must[*dtr.Client](t)(dtr.New(dtr.Config{
			URL: sim.DTRURL(), Username: sim.Username(), Password: sim.Password(), CACert: sim.CACert(), Retry: testRetry,
		})),
		UCP: must[*ucp.Client](t)(ucp.New(ucp.Config{
			URL: sim.UCPURL(), Username: sim.Username(), Password: sim.Password(), CACert: sim.CACert(), Retry: testRetry,
		})),
		Login: bootstrap.UCP{URL: sim.UCPURL(), Username: sim.Username(), Password: sim.Password(), CA: sim.CACert()},
	}
}

// to are the options of a run to a version.
func to(target string, via ...string) Options {
	o := options(target, via...)
	o.Retriggers = 1
	o.Pace = testPace
	return o
}

// run runs with a limit that only a run that hangs comes to.
func runUpgrade(t *testing.T, c Cluster, o Options) (*Report, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	return Run(ctx, c, o)
}

// finish runs, and fails unless the target is reached with so many runs of the
// bootstrapper in all.
func finish(t *testing.T, sim *simulator.Cluster, c Cluster, o Options, runs int) {
	t.Helper()
	if _, err := runUpgrade(t, c, o); err != nil {
		t.Fatal(err)
	}
	wantAt(t, sim, o.Target.String())
	wantNoBootstrapper(t, sim)
	if got := sim.BootstrapperRuns(); got != runs {
		t.Errorf("%d bootstrapper runs, want %d", got, runs)
	}
}

// wantAt fails unless every container of the simulated cluster runs the version.
func wantAt(t *testing.T, sim *simulator.Cluster, version string) {
	t.Helper()
	for id, parts := range sim.Versions() {
		if len(parts) != len(bootstrap.Parts) {
			t.Errorf("replica %s has %d containers", id, len(parts))
		}
		for part, v := range parts {
			if v != version {
				t.Errorf("%s of replica %s runs %s, not %s", part, id, v, version)
			}
		}
	}
}

// wantNoBootstrapper fails if a container of the bootstrapper is left over.
func wantNoBootstrapper(t *testing.T, sim *simulator.Cluster) {
	t.Helper()
	for _, c := range sim.Containers() {
		if strings.HasPrefix(c.Name, "dtr-upgrade-") || c.Name == phase2Name {
			t.Errorf("container %s (%s) is left over", c.Name, c.State)
		}
	}
}

// changes are the requests that change something, but for logins.
func changes(sim *simulator.Cluster) []string {
	var list []string
	for _, r := range sim.Requests() {
		if r.Bootstrapper() || r.Method == http.MethodGet || r.Method == http.MethodHead || r.Path == "/auth/login" {
			continue
		}
		list = append(list, r.Method+" "+r.Path)
	}
	return list
}

// posts are the jobs that were started by hand.
func posts(sim *simulator.Cluster) int {
	n := 0
	for _, c := range changes(sim) {
		if c == "POST /api/v0/jobs" {
			n++
		}
	}
	return n
}

// addCache registers a content cache in DTR.
func addCache(t *testing.T, sim *simulator.Cluster) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(sim.CACert()))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	defer client.CloseIdleConnections()
	body := strings.NewReader(`{"name":"branch","host":"https://cache.example.com"}`)
	request := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPost, sim.DTRURL()+"/api/v0/content_caches", body))
	request.Header.Set("Content-Type", "application/json")
	request.SetBasicAuth(sim.Username(), sim.Password())
	response := must[*http.Response](t)(client.Do(request))
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("registering a content cache: %s", response.Status)
	}
}

func asError[E error](t *testing.T, err error) E {
	t.Helper()
	var want E
	if !errors.As(err, &want) {
		t.Fatalf("got error %v (%T), want a %T", err, err, want)
	}
	return want
}

func wantChecks(t *testing.T, findings Findings, want ...Check) {
	t.Helper()
	for _, check := range want {
		if !slices.ContainsFunc(findings, func(f Finding) bool { return f.Check == check }) {
			t.Errorf("no finding of %s among %+v", check, findings)
		}
	}
}
