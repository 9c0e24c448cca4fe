package log_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/terraform-plugin-log/tflogtest"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// TestProgress holds that messages are lines with their time at the end of the file,
// fit for a terminal, and without secrets.
func TestProgress(t *testing.T) {
	name := filepath.Join(t.TempDir(), "progress.log")
	if err := os.WriteFile(name, []byte("of before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var p log.Progress
	if err := p.Open(name); err != nil {
		t.Fatal(err)
	}
	secrets := scrub.NewSecrets()
	secrets.Add("correct-horse-battery")
	ctx := p.With(secrets.With(t.Context()))
	log.Info(ctx, "Replica 2cbdae79f078 on worker1 runs 2.6.15 (1 of 3)", map[string]any{"node": "worker1"})
	log.Detail(ctx, "Pulling mirantis/dtr:2.6.15")
	log.Debug(ctx, "not shown")
	log.Bar(ctx, 9, 27, "not shown")
	log.Info(ctx, "node \x1b[31mred\nStep verify ended correct-horse-battery")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want := `^of before
\d\d:\d\d:\d\d  Replica 2cbdae79f078 on worker1 runs 2\.6\.15 \(1 of 3\)
\d\d:\d\d:\d\d  Pulling mirantis/dtr:2\.6\.15
\d\d:\d\d:\d\d  node \\x1b\[31mred\\nStep verify ended [^\n]*
$`
	if !regexp.MustCompile(want).Match(text) || strings.Contains(string(text), "horse") {
		t.Errorf("%q", text)
	}
}

// TestProgressIsNeverInTheWay holds that nothing waits for a pipe that nobody reads,
// and that what cannot be written is said once.
func TestProgressIsNeverInTheWay(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	var p log.Progress
	if err := p.Open(pipe); err == nil {
		t.Error("a pipe without a reader was opened")
	}
	reader, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := p.Open(pipe); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	ctx := p.With(tflogtest.RootLogger(t.Context(), &out))
	for range 2000 { // more than a pipe holds
		log.Info(ctx, strings.Repeat("x", 400))
	}
	if n := strings.Count(out.String(), "Progress is no longer written"); n != 1 {
		t.Errorf("%d warnings", n)
	}
	if n := strings.Count(out.String(), "xxx"); n < 2000 {
		t.Errorf("%d lines in the log", n)
	}
	for _, name := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none", "progress.log")} {
		if err := p.Open(name); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
}
