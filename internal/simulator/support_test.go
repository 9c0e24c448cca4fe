package simulator_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// httpClient trusts the cluster's CA and nothing else.
func httpClient(t *testing.T, c *simulator.Cluster) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(c.CACert())) {
		t.Fatal("the CA is not PEM")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) decode(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
}

// code is the code of a DTR error.
func (a answer) code(t *testing.T) string {
	t.Helper()
	var e struct {
		Errors []struct{ Code, Message string }
	}
	a.decode(t, &e)
	if len(e.Errors) != 1 || e.Errors[0].Message == "" {
		t.Fatalf("not an error of DTR: %s", a.body)
	}
	return e.Errors[0].Code
}

type request struct {
	method, url, body      string
	user, password, bearer string
	contentType            string
}

func try(t *testing.T, h *http.Client, r request) (answer, error) {
	t.Helper()
	if r.method == "" {
		r.method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, r.url, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	if r.user != "" {
		req.SetBasicAuth(r.user, r.password)
	}
	if r.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+r.bearer)
	}
	if r.contentType == "" {
		r.contentType = "application/json"
	}
	req.Header.Set("Content-Type", r.contentType)
	resp, err := h.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, body}, err
}

func do(t *testing.T, h *http.Client, r request) answer {
	t.Helper()
	a, err := try(t, h, r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// api makes requests to DTR's API as the administrator.
type api struct {
	t *testing.T
	c *simulator.Cluster
	h *http.Client
}

func newAPI(t *testing.T, c *simulator.Cluster) api {
	t.Helper()
	return api{t, c, httpClient(t, c)}
}

func (a api) request(method, path, body string) request {
	return request{method: method, url: a.c.DTRURL() + path, body: body, user: a.c.Username(), password: a.c.Password()}
}

func (a api) get(path string, v any) answer {
	a.t.Helper()
	got := do(a.t, a.h, a.request(http.MethodGet, path, ""))
	if v != nil {
		if got.status != http.StatusOK {
			a.t.Fatalf("GET %s: %d %s", path, got.status, got.body)
		}
		got.decode(a.t, v)
	}
	return got
}

func (a api) post(path, body string) answer {
	a.t.Helper()
	return do(a.t, a.h, a.request(http.MethodPost, path, body))
}

type status struct {
	Health    map[string]string    `json:"replica_health"`
	Timestamp map[string]time.Time `json:"replica_timestamp"`
	GCLock    string               `json:"gc_lock_holder"`
}

func (a api) status() status {
	a.t.Helper()
	var s status
	a.get("/api/v0/meta/cluster_status", &s)
	return s
}

func login(t *testing.T, c *simulator.Cluster, h *http.Client) string {
	t.Helper()
	body, _ := json.Marshal(map[string]string{"username": c.Username(), "password": c.Password()})
	a := do(t, h, request{method: http.MethodPost, url: c.UCPURL() + "/auth/login", body: string(body)})
	var token struct {
		Token string `json:"auth_token"`
	}
	a.decode(t, &token)
	return token.Token
}

// docker is a client of the Docker Engine API through UCP.
func docker(t *testing.T, c *simulator.Cluster) *client.Client {
	t.Helper()
	h := httpClient(t, c)
	ping := do(t, h, request{url: c.UCPURL() + "/_ping"})
	return newDocker(t,
		client.WithHTTPClient(h), client.WithHost("tcp://"+strings.TrimPrefix(c.UCPURL(), "https://")), client.WithScheme("https"),
		client.WithHTTPHeaders(map[string]string{"Authorization": "Bearer " + login(t, c, h)}),
		client.WithAPIVersion(ping.header.Get("Api-Version")),
	)
}

// directDocker is a client of the engine of worker1.
func directDocker(t *testing.T, c *simulator.Cluster, apiVersion string) *client.Client {
	t.Helper()
	return newDocker(t, client.WithHost(c.DockerHost()), client.WithAPIVersion(apiVersion))
}

func newDocker(t *testing.T, opts ...client.Opt) *client.Client {
	t.Helper()
	d, err := client.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// bootstrapperContainer says how to run a bootstrapper as a user would.
type bootstrapperContainer struct {
	image string // "docker/dtr:2.6.8"
	args  []string
	env   []string
	name  string
}

func upgradeTo(c *simulator.Cluster, image string) bootstrapperContainer {
	return bootstrapperContainer{
		image: image,
		args:  []string{"upgrade", "--existing-replica-id", c.ReplicaIDs()[0]},
		env: []string{
			"UCP_URL=" + c.UCPURL(), "UCP_USERNAME=" + c.Username(), "UCP_PASSWORD=" + c.Password(), "UCP_CA=" + c.CACert(),
		},
	}
}

// start pulls the image, creates the container and starts it.
func (b bootstrapperContainer) start(t *testing.T, d *client.Client) (id string) {
	t.Helper()
	pull, err := d.ImagePull(t.Context(), b.image, client.ImagePullOptions{})
	if err == nil {
		err = pull.Wait(t.Context())
	}
	if err != nil {
		t.Fatalf("pulling %s: %v", b.image, err)
	}
	created, err := d.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name: b.name, Config: &container.Config{Image: b.image, Cmd: b.args, Env: b.env},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.ContainerStart(t.Context(), created.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	return created.ID
}

// wait waits for a container to end, removes it, and returns its exit status
// and its output.
func wait(t *testing.T, d *client.Client, id string) (status int, output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	logs, err := d.ContainerLogs(ctx, id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, logs); err != nil {
		t.Fatal(err)
	}
	_ = logs.Close()
	waiting := d.ContainerWait(ctx, id, client.ContainerWaitOptions{})
	select {
	case err := <-waiting.Error:
		t.Fatal(err)
	case result := <-waiting.Result:
		status = int(result.StatusCode)
	}
	if _, err := d.ContainerRemove(ctx, id, client.ContainerRemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	return status, out.String()
}

// run is start and wait.
func (b bootstrapperContainer) run(t *testing.T, c *simulator.Cluster) (status int, output string) {
	t.Helper()
	d := docker(t, c)
	return wait(t, d, b.start(t, d))
}

// everyVersion lists the versions that run, each once.
func everyVersion(c *simulator.Cluster) map[string]int {
	count := map[string]int{}
	for _, parts := range c.Versions() {
		for _, v := range parts {
			count[v]++
		}
	}
	return count
}

// jobsOf lists the jobs of an action, newest first.
func jobsOf(c *simulator.Cluster, action string) []simulator.Job {
	var list []simulator.Job
	for _, j := range c.Jobs() {
		if j.Action == action {
			list = append(list, j)
		}
	}
	return list
}

// eventually looks again and again until it is so.
func eventually(t *testing.T, what string, look func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !look(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to this: %s", what)
		}
	}
}
