package log

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/hashicorp/terraform-plugin-log/tflog"
	"github.com/hashicorp/terraform-plugin-log/tflogtest"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// lines are what f has the log say, as it is written.
func lines(t *testing.T, f func(context.Context)) []string {
	t.Helper()
	var out bytes.Buffer
	f(With(call(t, &out)))
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

// call is the context of a call by Terraform, as the plugin library makes it, with a secret.
func call(t *testing.T, out io.Writer) context.Context {
	t.Helper()
	ctx := tflog.SetField(tflogtest.RootLogger(t.Context(), out), "tf_rpc", "ApplyResourceChange")
	return scrub.NewSecrets("pa55word").With(ctx)
}

var levels = map[string]struct {
	level string
	write func(context.Context, string, ...map[string]any)
}{
	"debug": {"debug", Debug}, "detail": {"debug", Detail}, "info": {"info", Info}, "warn": {"warn", Warn},
}

// TestLinesHaveTheirOwnFieldsAlone holds that nothing but its own fields is in a line, and that without With, too, no line is lost.
func TestLinesHaveTheirOwnFieldsAlone(t *testing.T) {
	t.Parallel()
	for name, l := range levels {
		got := lines(t, func(ctx context.Context) { l.write(ctx, "Said", map[string]any{"n": 7}) })
		if want := `{"@level":"` + l.level + `","@message":"Said","@module":"provider.run","n":7}`; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		var out bytes.Buffer
		l.write(call(t, &out), "Said", map[string]any{"text": "pa55word"})
		if want := `{"@level":"` + l.level + `","@message":"Said","@module":"provider","text":"***","tf_rpc":"ApplyResourceChange"}` + "\n"; out.String() != want {
			t.Errorf("%s, without With: %q, want %q", name, out.String(), want)
		}
	}
}

func TestLinesAreClean(t *testing.T) {
	t.Parallel()
	hostile := "pa55word \x1b[31m\u202e\u009b\xff\nforged <html>"
	for name, l := range levels {
		got := lines(t, func(ctx context.Context) {
			l.write(ctx, "Said", map[string]any{"text": hostile, "error": errors.New(hostile), "list": []string{hostile}, "n": 7}, map[string]any{"more": true})
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
		if line["text"] != want || line["error"] != want || line["list"] != "["+want+"]" || line["n"] != 7.0 || line["more"] != true || line["@level"] != l.level {
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
