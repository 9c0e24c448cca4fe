package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-log/tflogtest"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// TestLogSummaryHidesSecrets holds that the cause of a failure is found whatever the
// password is, and that what is shown of the log neither repeats nor tells it.
func TestLogSummaryHidesSecrets(t *testing.T) {
	t.Parallel()
	const known = "failed to wait for rethink to be healthy"
	for name, tt := range map[string]struct{ password, line, want string }{
		"long":          {"pa55word-of-UCP", known + ": pa55word-of-UCP", known + ": ***"},
		"in base64":     {"pa55word-of-UCP", known + ": YWRtaW46cGE1NXdvcmQtb2YtVUNQ", known + ": YWRtaW4***"},
		"one letter":    {"a", known + " on node a", "***"},
		"part of words": {"a", known, known},
		"the cause":     {"rethink", known, "***"},
		"all of it":     {known, known, "***"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := LogSummary{secrets: scrub.NewSecrets(tt.password)}
			s.Add(bootstrap.Record{Level: "fatal", Message: tt.line})
			got := s.Failure(Container{})
			if got == nil || got.Failure == nil || got.Failure.Cause == "" {
				t.Fatalf("no known failure: %+v", got)
			}
			for _, text := range []string{got.Fatal, got.Failure.Message, got.Log[0]} {
				if text != tt.want && !strings.HasPrefix(text, "failed to wait for rethink to be healthy: YWRtaW") {
					t.Errorf("%q, want %q", text, tt.want)
				}
			}
			if text := fmt.Sprintf("%+v", *got); strings.Contains(text, "pa55word") || strings.Contains(text, "cGE1NXdvcmQ") {
				t.Error(text)
			}
		})
	}
}

// TestLogIsReadable holds that an engine's default log driver is not used.
func TestLogIsReadable(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	var created struct {
		HostConfig struct{ LogConfig struct{ Type string } }
	}
	sim.Inject(simulator.Fault{Method: http.MethodPost, Path: "/containers/create", Matches: func(req *http.Request) bool {
		body, _ := io.ReadAll(req.Body)
		req.Body = io.NopCloser(bytes.NewReader(body))
		if err := json.Unmarshal(body, &created); err != nil {
			t.Error(err)
		}
		return false
	}})
	if _, err := r.Perform(soon(t), upgrade(sim, r)); err != nil {
		t.Fatal(err)
	}
	if driver := created.HostConfig.LogConfig.Type; driver != "json-file" {
		t.Errorf("the log driver is %q", driver)
	}
}

// TestLogLinesAreCopiedOnce has the stream of the log be cut.
func TestLogLinesAreCopiedOnce(t *testing.T) {
	t.Parallel()
	sim, r := start(t)
	c := clustertest.Must[Container](t)(r.Perform(soon(t), upgrade(sim, r)))
	want := map[string]int{}
	if _, err := r.readLog(soon(t), c, nil, false, func(record bootstrap.Record) { want[record.Message]++ }); err != nil || len(want) < 5 {
		t.Fatalf("%d records, error %v", len(want), err)
	}
	sim.Inject(simulator.Fault{Service: simulator.ServiceEngine, Path: "/containers/*/logs", Truncate: true, Times: 3})
	var out clustertest.Log
	ctx, cancel := context.WithCancel(tflogtest.RootLogger(soon(t), &out))
	ended, done := make(chan struct{}, 1), make(chan struct{})
	noted := map[string]int{}
	go func() {
		defer close(done)
		r.passLog(ctx, c, ended, func(record bootstrap.Record) { noted[record.Message]++ })
	}()
	for range 5 { // three streams that are cut, the rest, and nothing more
		select {
		case <-ended:
		case <-ctx.Done():
			t.Fatal("the log is not read again")
		}
	}
	cancel()
	<-done
	if !maps.Equal(noted, want) {
		t.Errorf("noted are %v, want %v", noted, want)
	}
	entries := clustertest.Must[[]map[string]any](t)(tflogtest.MultilineJSONDecode(strings.NewReader(out.String())))
	got := map[string]int{}
	for _, entry := range entries {
		if message, said := strings.CutPrefix(entry["@message"].(string), "Bootstrapper: "); said {
			got[message]++
		}
	}
	for message, n := range want {
		if got[message] != n {
			t.Errorf("%q: %d times, want %d", message, got[message], n)
		}
	}
}

// TestLogRecord holds that a record that tells of a problem is in the log of those who do not look for one.
func TestLogRecord(t *testing.T) {
	t.Parallel()
	_, r := start(t)
	for level, want := range map[string]string{
		"": "info", "trace": "debug", "debug": "debug", "info": "debug", "warning": "info", "error": "info", "fatal": "info", "panic": "info",
	} {
		var out clustertest.Log
		r.LogRecord(tflogtest.RootLogger(t.Context(), &out), bootstrap.Record{Level: level, Message: "Said"})
		entries := clustertest.Must[[]map[string]any](t)(tflogtest.MultilineJSONDecode(strings.NewReader(out.String())))
		if len(entries) != 1 || entries[0]["@level"] != want || entries[0]["@message"] != "Bootstrapper: Said" {
			t.Errorf("%q: %v, want the level %s", level, entries, want)
		}
	}
}
