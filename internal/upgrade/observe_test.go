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
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// barrier stands before a cluster and, once it is up, answers nothing until so
// many requests of a round wait for an answer at the same time.
type barrier struct {
	mu     sync.Mutex
	rounds [2]round
}

type round struct {
	seen    int
	awaited int // 0: not up
	open    chan struct{}
}

// raise awaits as many requests as there were.
func (b *barrier) raise() (counts [2]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, r := range b.rounds {
		counts[i] = r.seen
		b.rounds[i] = round{awaited: r.seen, open: make(chan struct{})}
	}
	return counts
}

// pass waits at the barrier. The login, and what goes out beside it, may pass; what
// containers use is only asked for once they are known.
func (b *barrier) pass(r *http.Request) {
	if r.URL.Path == "/auth/login" || r.URL.Path == "/_ping" {
		return
	}
	b.mu.Lock()
	mine := &b.rounds[0]
	if strings.HasSuffix(r.URL.Path, "/stats") {
		mine = &b.rounds[1]
	}
	mine.seen++
	if mine.awaited > 0 && mine.seen == mine.awaited {
		close(mine.open)
	}
	up, open := mine.awaited > 0, mine.open
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
	proxy := httputil.NewSingleHostReverseProxy(must[*url.URL](t)(url.Parse(address)))
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
	sim := simulatortest.Start(t, simulator.Options{Version: "2.5.6", Replicas: 3, Speed: testSpeed})
	b := &barrier{}
	dtrServer, ucpServer := b.before(t, sim.DTRURL(), sim.CACert()), b.before(t, sim.UCPURL(), sim.CACert())
	root := func(s *httptest.Server) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	}
	c := Cluster{
		DTR: must[*dtr.Client](t)(dtr.New(dtr.Config{
			URL: dtrServer.URL, Username: sim.Username(), Password: sim.Password(), CACert: root(dtrServer),
		})),
		UCP: must[*ucp.Client](t)(ucp.New(ucp.Config{
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
	counts := b.raise()
	if counts[0] < 10 || counts[1] != len(bootstrap.Parts) {
		t.Fatalf("only %d requests went through", counts)
	}
	if _, err := Observe(ctx, c, o); err != nil {
		t.Errorf("of %d requests, %d were under way at once: %v", counts, b.raise(), err)
	}
}

// TestObserveAddsUpMemory asks what the containers use on the machine that runs
// the bootstrapper, when an upgrade is due, and takes no answer for nothing.
func TestObserveAddsUpMemory(t *testing.T) {
	t.Parallel()
	const each = 256 << 20 // of the simulated containers
	failing := simulator.Fault{Service: simulator.ServiceEngine, Path: "/containers/*/stats", Status: 500}
	for name, c := range map[string]struct {
		target string
		direct bool
		fault  *simulator.Fault
		stop   bool // a container, before
		want   int64
	}{
		"through UCP":              {target: "2.6.15", want: 9 * each},
		"on the direct engine":     {target: "2.6.15", direct: true, want: 9 * each},
		"a container is stopped":   {target: "2.6.15", stop: true, want: 8 * each},
		"no container tells":       {target: "2.6.15", fault: &failing},
		"nothing is due":           {target: "2.5.6"},
		"the plan will be refused": {target: "2.7.8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, cluster := start(t, "2.5.6")
			if c.direct {
				cluster.Docker = &ucp.DockerConfig{Host: sim.DockerHost(), Retry: testRetry}
			}
			if c.stop {
				sim.KillContainer("dtr-jobrunner-" + sim.ReplicaIDs()[0])
			}
			if c.fault != nil {
				sim.Inject(*c.fault)
			}
			o := to(c.target)
			o.ExistingReplicaID = sim.ReplicaIDs()[0]
			obs, err := Observe(t.Context(), cluster, o)
			if err != nil {
				t.Fatal(err)
			}
			if obs.RunnerUse != c.want {
				t.Errorf("%d bytes are used, want %d", obs.RunnerUse, c.want)
			}
			asked := 0
			for _, r := range sim.Requests() {
				if strings.HasSuffix(r.Path, "/stats") {
					asked++
				}
			}
			if c.want == 0 && c.fault == nil && asked > 0 {
				t.Errorf("%d questions were asked", asked)
			}
		})
	}
}

func TestObserveAsksForNoImageThatIsNotNeeded(t *testing.T) {
	t.Parallel()
	sim, c := start(t, "2.6.15")
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
