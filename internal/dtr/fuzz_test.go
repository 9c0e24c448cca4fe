package dtr

import (
	"encoding/json"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
)

// FuzzAnswers reads one answer as each that DTR gives: whatever it holds, it is a value or an error.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		`{"dtrHost":"dtr.example.com","replicaSettings":{"0123456789ab":{"HTTPPort":80,"node":"worker1"}}}`,
		`{"replica_health":{"0123456789ab":"OK"},"replica_timestamp":{"0123456789ab":"2020-01-02T03:04:05Z","x":7},"gc_lock_holder":""}`,
		`{"id":"1","status":"done","parameters":{"a":[null]},"capacityMap":{"a":1e99},"scheduledAt":{},"retriesLeft":0}`,
		`{"jobs":[null,{"id":"1"},{"parameters":null}]}`, `{"errors":[{"code":"NO_SUCH_JOB","message":"m"}]}`,
		`{"db_updated_at":"x","db_version":1}`, `{"info":{"title":"Docker Trusted Registry","version":"2.6.0"},"paths":{"/api/v0/":{}}}`, `null`, `[]`, `"`,
	} {
		f.Add([]byte(seed), 200)
		f.Add([]byte(seed), 404)
	}
	c, err := New(Config{URL: "https://dtr.example.com", Username: "admin", Password: "pa55word"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte, status int) {
		a := &endpoint.Answer{Method: "GET", Path: "/x", StatusCode: status, Body: text}
		var settings Settings
		var cluster ClusterStatus
		var scan ScanStatus
		var features Features
		var lines []logLine
		var list struct{ Jobs []Job }
		for _, v := range []any{&settings, &cluster, &scan, &features, &lines, &list} {
			if err := c.reader(v)(a); err == nil && (!a.OK() || !json.Valid(text)) {
				t.Errorf("status %d is taken for an answer: %q", status, text)
			}
		}
		for _, j := range list.Jobs {
			_, _ = j.Status.Phase()
			_ = JobFilter{Worker: "x"}.matches(j)
		}
		var j Job
		if err := c.jobReader(&j)(a); err == nil && j.ID == "" {
			t.Errorf("a job without an id: %q", text)
		}
		if version, err := c.readVersion(a); (err == nil) != (version != "") {
			t.Errorf("version %q, error %v", version, err)
		}
	})
}
