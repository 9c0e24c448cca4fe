package ucp

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint/endpointtest"
)

// serveInFakeTime is an engine in a bubble of synctest, with the limits that are in force by default.
func serveInFakeTime(t *testing.T, h handlers) (*Engine, *server) {
	t.Helper()
	s := &server{t: t, handlers: h}
	transport := endpoint.NewTransport()
	endpointtest.InFakeTime(t, transport, s)
	e := &Engine{connection: &connection{host: "tcp://engine.example.com:80", scheme: "http", version: "1.37"}}
	e.connection.endpoint = endpoint.Over(transport, &url.URL{Scheme: "http", Host: "engine.example.com"}, endpoint.Config{Service: "the engine"})
	t.Cleanup(func() {
		if e.connection.clients != nil {
			_ = e.connection.clients.stream.Close() // it has a copy of the transport
		}
	})
	return e, s
}

// hang answers with a status and then with nothing more.
func hang(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
	lose(w, r)
}

func TestEveryCallHasALimit(t *testing.T) {
	for name, c := range calls {
		switch name {
		case "follow logs": // goes on until its context ends
			continue
		case "start", "remove", "rename", "stop", "remove, keeping volumes", "discard": // are over when the status is there
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			h := engine1706()
			for key := range h {
				if name != "logs" || key == "GET /containers/x/logs" {
					h[key] = hang
				}
			}
			e, _ := serveInFakeTime(t, h)
			want := time.Minute // of Retry
			switch {
			case name == "pull" || name == "load":
				want = transferLimit
			case name == "logs" || !strings.HasPrefix(c.request, "GET "):
				want = callLimit
			}
			start := time.Now()
			_, err := c.call(t.Context(), e)
			if d := time.Since(start); err == nil || d != want {
				t.Errorf("%s: error %v after %s, want %s", name, err, d, want)
			}
		})
	}
}

func TestFollowHasNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := serveInFakeTime(t, handlers{
			"GET /containers/x/json": file("container.json"),
			"GET /containers/x/logs": func(w http.ResponseWriter, r *http.Request) {
				for _, line := range []string{"one\n", "two\n", "three\n"} {
					frame(w, 1, line)
					_ = http.NewResponseController(w).Flush()
					select {
					case <-r.Context().Done():
					case <-time.After(24 * time.Hour):
					}
				}
			},
		})
		if got, err := readLogs(e.Logs(t.Context(), "x", nil, true)); err != nil || got != "one\ntwo\nthree\n" {
			t.Errorf("%q, error %v", got, err)
		}
	})
}
