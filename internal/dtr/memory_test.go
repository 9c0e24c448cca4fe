package dtr

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint/endpointtest"
)

// TestLargestAnswers has DTR give the answers that take the most memory for their length.
//
//nolint:paralleltest // it measures memory
func TestLargestAnswers(t *testing.T) {
	if !endpointtest.Measured(t) {
		return
	}
	const limit = 200 // MiB, with what the server and the test take
	many := func(n int, each string) string { return strings.Repeat(each+",", n) + each }
	members := func(value string) string {
		var b strings.Builder
		for i := range 450_000 {
			fmt.Fprintf(&b, `"%d":%s,`, i, value)
		}
		return b.String() + `"x":` + value
	}
	for name, tt := range map[string]struct {
		body string
		call func(*Client) error
	}{
		"description of the API": {
			`{"info":{"version":"2.6.0"},"paths":{"/api/v0/":{},` + members("{}") + `}}`,
			func(c *Client) error { _, err := c.Version(t.Context()); return err },
		},
		"settings": {`{"replicaSettings":{` + members("{}") + `}}`, func(c *Client) error { _, err := c.Settings(t.Context()); return err }},
		"status":   {`{"replica_health":{` + members(`""`) + `}}`, func(c *Client) error { _, err := c.ClusterStatus(t.Context()); return err }},
		"jobs":     {`{"jobs":[` + many(100_000-2, "{}") + `]}`, func(c *Client) error { _, err := c.Jobs(t.Context(), JobFilter{}); return err }},
		"refusal":  {`{"errors":[` + many(50_000, "{}") + `]}`, func(c *Client) error { _, err := c.Settings(t.Context()); return err }},
	} {
		status := 200
		if name == "refusal" {
			status = 400
		}
		s := serve(t, always(status, tt.body))
		err := tt.call(s.client(t))
		if now := endpointtest.Mapped(); now > limit {
			t.Errorf("%s: %d MiB after %d bytes, error %v", name, now, len(tt.body), err)
		}
		s.Close()
	}
}

// TestDescriptionThatIsTooLarge holds that what is not read proves nothing.
func TestDescriptionThatIsTooLarge(t *testing.T) {
	t.Parallel()
	s := serve(t, always(200, `{"info":{"version":"2.6.0"},"paths":{"/api/v0/":[`+strings.Repeat("{},", 200_000)+`{}]}}`))
	version, err := s.client(t).Version(t.Context())
	var other *NotDTRError
	if err == nil || errors.As(err, &other) || version != "" {
		t.Errorf("version %q, error %v", version, err)
	}
}

// TestJobPagesTogether has a list without an end, of jobs that are small and of jobs that are large.
func TestJobPagesTogether(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"small": "", "large": strings.Repeat("x", 10<<10)} {
		n := 0
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			var page []string
			for range pageSize {
				n++
				page = append(page, `{"id":"`+strconv.Itoa(n)+`","deadline":"`+text+`"}`)
			}
			if n > 2*maxJobs {
				page = nil
			}
			answer(w, 200, `{"jobs":[`+strings.Join(page, ",")+`]}`)
		})
		jobs, err := s.client(t).Jobs(t.Context(), JobFilter{})
		if !errors.Is(err, errTooManyJobs) || len(jobs) != 0 {
			t.Errorf("%s: %d jobs, error %v", name, len(jobs), err)
		}
	}
}
