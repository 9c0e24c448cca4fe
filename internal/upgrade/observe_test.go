package upgrade

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// barrier stands before a cluster and, once it is up, answers nothing until so
// many requests wait for an answer at the same time.
type barrier struct {
	mu      sync.Mutex
	seen    int
	awaited int // 0: not up
	open    chan struct{}
}

// raise awaits as many requests as there were.
func (b *barrier) raise() (count int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	count = b.seen
	b.seen, b.awaited, b.open = 0, count, make(chan struct{})
	return count
}

// pass waits at the barrier. The login and what goes out beside it may pass, as may the
// first look, which tells whether there is anything more to ask.
func (b *barrier) pass(r *http.Request) {
	byName := strings.HasSuffix(r.URL.Path, "/containers/json") && r.URL.Query().Has("filters")
	if r.URL.Path == "/auth/login" || r.URL.Path == "/_ping" || r.URL.Path == "/api/v0/meta/settings" || byName {
		return
	}
	b.mu.Lock()
	b.seen++
	if b.awaited > 0 && b.seen == b.awaited {
		close(b.open)
	}
	up, open := b.awaited > 0, b.open
	b.mu.Unlock()
	if up {
		select {
		case <-open:
		case <-r.Context().Done():
		}
	}
}

// before starts a server that hands requests on to the address.
func (b *barrier) before(t *testing.T, address, ca string) *httptest.Server {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ca))
	proxy := httputil.NewSingleHostReverseProxy(clustertest.Must[*url.URL](t)(url.Parse(address)))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	proxy.Transport = transport
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.pass(r)
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	return server
}

// TestObserveAsksSideBySide counts the requests of one look, then makes a second
// look wait until as many are under way at once: if one of them waited for the
// answer to another, it would never end.
func TestObserveAsksSideBySide(t *testing.T) {
	t.Parallel()
	sim := simulatortest.Start(t, simulator.Options{Version: "2.5.6", Replicas: 3, Speed: clustertest.Speed})
	b := &barrier{}
	dtrServer, ucpServer := b.before(t, sim.DTRURL(), sim.CACert()), b.before(t, sim.UCPURL(), sim.CACert())
	root := func(s *httptest.Server) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	}
	c := cluster.Cluster{
		DTR: clustertest.Must[*dtr.Client](t)(dtr.New(dtr.Config{
			URL: dtrServer.URL, Username: sim.Username(), Password: sim.Password(), CACert: root(dtrServer),
		})),
		UCP: clustertest.Must[*ucp.Client](t)(ucp.New(ucp.Config{
			URL: ucpServer.URL, Username: sim.Username(), Password: sim.Password(), CACert: root(ucpServer),
		})),
		Login: bootstrap.UCP{URL: sim.UCPURL(), Username: sim.Username(), Password: sim.Password(), CA: sim.CACert()},
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	o := to("2.7.8", "2.6.15")
	if _, err := Observe(ctx, c, o); err != nil {
		t.Fatal(err)
	}
	count := b.raise()
	if count < 10 {
		t.Fatalf("only %d requests went through", count)
	}
	if _, err := Observe(ctx, c, o); err != nil {
		t.Errorf("of %d requests, %d were under way at once: %v", count, b.raise(), err)
	}
}

// TestObserveAtRest holds what a cluster is asked on which nothing is due, and that what
// the first look cannot exclude is looked into.
func TestObserveAtRest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		version string
		prepare func(*simulator.Cluster)
		options func(*Options)
		atRest  bool
	}{
		"at the target":          {version: "2.7.8", atRest: true},
		"on 2.6":                 {version: "2.6.15", atRest: true},
		"not verified yet":       {version: "2.7.8", options: func(o *Options) { o.Applied = nil }},
		"below the target":       {version: "2.7.5", options: func(o *Options) { o.Target = clustertest.Version("2.7.8") }},
		"another target applied": {version: "2.7.8", options: func(o *Options) { o.Applied = clustertest.Version("2.7.5") }},
		"a container is not there": {version: "2.7.8", prepare: func(s *simulator.Cluster) {
			s.Inject(clustertest.ChangeList(t, func(list []clustertest.Listed) []clustertest.Listed {
				return slices.DeleteFunc(list, func(l clustertest.Listed) bool { return strings.HasSuffix(l.Name(), "dtr-nginx-"+s.ReplicaIDs()[1]) })
			}))
		}},
		"a migration at work": {version: "2.6.15", prepare: func(s *simulator.Cluster) {
			s.Inject(simulator.Fault{Path: "/api/v0/jobs", Status: http.StatusOK, Body: `{"jobs":[{"id":"1","retryFromID":"1","action":"metadatastoremigration","status":"running"}]}`})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, cl := clustertest.Start(t, c.version)
			o := to(c.version)
			o.Applied = o.Target
			if c.prepare != nil {
				c.prepare(sim)
			}
			if c.options != nil {
				c.options(&o)
			}
			obs, err := ObserveForPlan(t.Context(), cl, o, nil)
			if err != nil {
				t.Fatal(err)
			}
			if plan, found := Preflight(obs, o); c.atRest && (plan.Due() || plan.Verify || len(found) > 0) {
				t.Errorf("plan %+v, findings %s", plan, summaries(found))
			}
			var paths []string
			for _, r := range sim.Requests() {
				paths = append(paths, r.Path)
			}
			if few := len(paths) <= 5; few != c.atRest {
				t.Errorf("at rest: %t, want %t; asked %q", few, c.atRest, paths)
			}
		})
	}
}

func TestObserveAsksForNoImageThatIsNotNeeded(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	o := to("2.6.15")
	o.Applied = o.Target
	if _, err := Observe(t.Context(), c, o); err != nil {
		t.Fatal(err)
	}
	for _, r := range sim.Requests() {
		if strings.Contains(r.Path, "/distribution/") {
			t.Errorf("the registry was asked: %s", r.Path)
		}
	}
}

// TestObserveNamesAnotherCluster holds that another DTR than the one that is meant is
// said first, also where UCP shows nothing of it.
func TestObserveNamesAnotherCluster(t *testing.T) {
	t.Parallel()
	sim, c := clustertest.Start(t, "2.6.15")
	sim.Inject(simulator.Fault{Service: simulator.ServiceEngine, Path: "/containers/json", Status: http.StatusOK, Body: "[]"})
	o := to("2.6.15")
	_, err := Observe(t.Context(), c, o)
	_ = clustertest.AsError[*cluster.NoReplicasError](t, err)
	o.Host = "other.example.com"
	_, err = Observe(t.Context(), c, o)
	if other := clustertest.AsError[*cluster.OtherClusterError](t, err); other.Want != o.Host {
		t.Errorf("got %v", err)
	}
}
