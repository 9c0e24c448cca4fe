//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// subject is one of the two that are compared: the simulated engines or the
// real ones, through UCP or one of them directly.
type subject struct {
	base       string // URL with the API version
	client     *http.Client
	token      string
	repository string // of images that its registry has
	direct     bool
	// fail has bootstrappers go wrong; what it returns belongs into their
	// environment.
	fail func(simulator.BootstrapperFaults) []string
}

// answerLimit is how long an answer may take, to its end, on a busy machine.
const answerLimit = 20 * time.Second

// answer is what an engine answers, without what differs from one run to the
// next.
type answer struct {
	Status  int
	Message string // of an error
	body    []byte
}

// object is a JSON object.
type object = map[string]any

func (s *subject) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case io.Reader:
		reader = body
	default:
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, s.base+path, reader)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	return s.client.Do(request)
}

func (s *subject) do(t testing.TB, method, path string, body any) answer {
	t.Helper()
	response, err := s.send(t.Context(), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	a := answer{Status: response.StatusCode}
	if a.body, err = io.ReadAll(response.Body); err != nil {
		a.Message = "the answer has no end"
		return a
	}
	var failed struct{ Message string }
	switch {
	case a.Status < http.StatusBadRequest:
	case json.Unmarshal(a.body, &failed) == nil:
		a.Message = s.normal(failed.Message)
	default: // classic Swarm writes text, and engines where a connection was to be taken over
		a.Message = strings.TrimSpace(s.normal(string(a.body)))
	}
	return a
}

func (s *subject) get(tb testing.TB, path string) answer {
	tb.Helper()
	return s.do(tb, http.MethodGet, path, nil)
}

func (s *subject) post(tb testing.TB, path string, body any) answer {
	tb.Helper()
	return s.do(tb, http.MethodPost, path, body)
}

func (a answer) object(t testing.TB) object {
	t.Helper()
	var o object
	if err := json.Unmarshal(a.body, &o); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return o
}

func (a answer) list(t testing.TB) []object {
	t.Helper()
	var l []object
	if err := json.Unmarshal(a.body, &l); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return l
}

// messages are those of a stream of JSON objects.
func (a answer) messages(t testing.TB) []object {
	t.Helper()
	var l []object
	for decoder := json.NewDecoder(bytes.NewReader(a.body)); decoder.More(); {
		var o object
		if err := decoder.Decode(&o); err != nil {
			t.Fatalf("%v: %s", err, a.body)
		}
		l = append(l, o)
	}
	return l
}

var (
	idText   = regexp.MustCompile(`[0-9a-f]{64}|\b[0-9a-z]{25}\b|\b[0-9a-f]{12}\b`)
	timeText = regexp.MustCompile(`\b(About an?|Less than a|[0-9]+) (second|minute|hour)s?`)
)

// normal takes out of a text what differs from run to run.
func (s *subject) normal(text string) string {
	text = strings.ReplaceAll(text, s.repository, "REPOSITORY")
	text = strings.ReplaceAll(text, "Unknown manifest", "manifest unknown") // the registry's own words
	return timeText.ReplaceAllString(idText.ReplaceAllString(text, "ID"), "TIME")
}

// pick is some members of an object.
func pick(o object, keys ...string) object {
	picked := object{}
	for _, k := range keys {
		picked[k] = o[k]
	}
	return picked
}

// create makes a container and removes it at the end.
func (s *subject) create(t testing.TB, name string, body object) string {
	t.Helper()
	a := s.post(t, "/containers/create?name="+name, body)
	if a.Status != http.StatusCreated {
		t.Fatalf("create %s: %d %s", name, a.Status, a.Message)
	}
	id := a.object(t)["Id"].(string)
	t.Cleanup(func() {
		if response, err := s.send(context.WithoutCancel(t.Context()), http.MethodDelete, "/containers/"+id+"?force=1", nil); err == nil {
			_ = response.Body.Close()
		}
	})
	return id
}

// run makes a container, starts it and waits for its end.
func (s *subject) run(t testing.TB, name string, body object) string {
	t.Helper()
	id := s.create(t, name, body)
	if a := s.post(t, "/containers/"+id+"/start", nil); a.Status != http.StatusNoContent {
		t.Fatalf("start %s: %d %s", name, a.Status, a.Message)
	}
	for s.state(t, id)["Running"] == true {
		s.post(t, "/containers/"+id+"/wait", nil)
	}
	return id
}

// logs reads a log, as a client does that knows that it has no terminal.
func (s *subject) logs(t testing.TB, id, query string) string {
	t.Helper()
	a := s.get(t, "/containers/"+id+"/logs?"+query)
	if a.Status != http.StatusOK {
		t.Fatalf("logs: %d %s", a.Status, a.Message)
	}
	out := bytes.NewBufferString(a.Message)
	if _, err := stdcopy.StdCopy(out, out, bytes.NewReader(a.body)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// attach attaches to a container that was made and not started, starts it, and
// reads what it writes to its end. Without an upgrade the answer itself is that.
func (s *subject) attach(t testing.TB, id, query string, upgrade bool) (answer object, stdout, stderr string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.base+"/containers/"+id+"/attach?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if upgrade {
		request.Header.Set("Connection", "Upgrade")
		request.Header.Set("Upgrade", "tcp")
	}
	if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if a := s.post(t, "/containers/"+id+"/start", nil); a.Status != http.StatusNoContent {
		t.Fatalf("start: %d %s", a.Status, a.Message)
	}
	var out, log bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &log, response.Body); err != nil {
		t.Fatal(err)
	}
	for s.state(t, id)["Running"] == true {
		s.post(t, "/containers/"+id+"/wait", nil)
	}
	return object{"status": response.StatusCode, "type": response.Header.Get("Content-Type")}, out.String(), log.String()
}

// state is the state of a container.
func (s *subject) state(t testing.TB, id string) object {
	t.Helper()
	state := s.get(t, "/containers/"+id+"/json").object(t)["State"].(object)
	for _, key := range []string{"StartedAt", "FinishedAt"} {
		if state[key] != "0001-01-01T00:00:00Z" {
			state[key] = "a time"
		}
	}
	return pick(state, "Status", "Running", "ExitCode", "Error", "StartedAt", "FinishedAt")
}

// image is a reference to one of the images.
func (s *subject) image(suffix string) string { return s.repository + suffix + ":2.6.8" }

// through is a subject that is UCP.
func through(t testing.TB, c *simulator.Cluster, repository string) *subject {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(c.CACert()))
	s := &subject{
		base: c.UCPURL(), repository: repository,
		client: &http.Client{Timeout: answerLimit, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}},
	}
	t.Cleanup(s.client.CloseIdleConnections)
	a := s.post(t, "/auth/login", map[string]string{"username": c.Username(), "password": c.Password()})
	s.token = a.object(t)["auth_token"].(string)
	s.base += "/v1.41"
	return s
}

// at is a subject that is one engine.
func at(tb testing.TB, socket, repository string) *subject {
	tb.Helper()
	s := &subject{
		base: "http://engine/v1.41", repository: repository, direct: true,
		client: &http.Client{Timeout: answerLimit, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}}},
	}
	tb.Cleanup(s.client.CloseIdleConnections)
	return s
}

func keys(o object) []string { return slices.Sorted(maps.Keys(o)) }
