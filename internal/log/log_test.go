package log

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/hashicorp/terraform-plugin-log/tflogtest"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// lines are what f has the log say, as it is written.
func lines(t *testing.T, f func(context.Context)) []string {
	t.Helper()
	var out bytes.Buffer
	f(scrub.NewSecrets("pa55word").With(tflogtest.RootLogger(t.Context(), &out)))
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

func TestLinesAreClean(t *testing.T) {
	t.Parallel()
	hostile := "pa55word \x1b[31m\u202e\u009b\xff\nforged <html>"
	for name, write := range map[string]func(context.Context, string, ...map[string]any){"debug": Debug, "info": Info, "warn": Warn} {
		got := lines(t, func(ctx context.Context) {
			write(ctx, "Said", map[string]any{"text": hostile, "error": errors.New(hostile), "list": []string{hostile}, "n": 7}, map[string]any{"more": true})
		})
		if len(got) != 1 {
			t.Fatalf("%s: %d lines", name, len(got))
		}
		decoded, err := tflogtest.MultilineJSONDecode(strings.NewReader(got[0]))
		if err != nil {
			t.Fatal(err)
		}
		const want = `*** \x1b[31m\u202e\u009b\xff\nforged <html>`
		line := decoded[0]
		if line["text"] != want || line["error"] != want || line["list"] != "["+want+"]" || line["n"] != 7.0 || line["more"] != true || line["@level"] != name {
			t.Errorf("%s: %q", name, line)
		}
	}
}

// TestLinesAreShort holds that what is short stays whole, and the line as it is written is short, too.
func TestLinesAreShort(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"x", "<", `"`, "é", "\x1b", "\u202e", "&é\\"} {
		for _, message := range []string{"Said", strings.Repeat(part, 5000)} {
			got := lines(t, func(ctx context.Context) {
				Info(ctx, message, map[string]any{"a": strings.Repeat(part, 700_000), "b": strings.Repeat(part, 5000), "c": "short", "d": strings.Repeat(part, 100)})
			})
			if len(got) != 1 || len(got[0]) > scrub.MaxLine || !strings.Contains(got[0], `"c":"short"`) || len(got[0]) < maxFields/2 {
				t.Errorf("%q: %d lines, the first of %d bytes", part, len(got), len(got[0]))
			}
		}
	}
}

// TestLinesAtOnce has several goroutines write the same fields: the race detector watches.
func TestLinesAtOnce(t *testing.T) {
	t.Parallel()
	fields := map[string]any{"text": "pa55word"}
	got := lines(t, func(ctx context.Context) {
		var g sync.WaitGroup
		for range 8 {
			g.Go(func() { Info(ctx, "Said", fields) })
		}
		g.Wait()
	})
	if text := strings.Join(got, "\n"); len(got) != 8 || strings.Contains(text, "pa55word") || strings.ContainsFunc(strings.Join(got, ""), unicode.IsControl) {
		t.Errorf("log:\n%s", text)
	}
}
