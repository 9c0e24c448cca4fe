package runner

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
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
