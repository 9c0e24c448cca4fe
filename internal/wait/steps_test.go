package wait

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/terraform-plugin-log/tflogtest"
)

func TestStepsSkipsWhatIsDone(t *testing.T) {
	t.Parallel()
	var ran []string
	step := func(name string, done bool) Step {
		return Step{
			Name: name,
			Done: func(context.Context) (bool, error) { return done, nil },
			Run:  func(context.Context) error { ran = append(ran, name); return nil },
		}
	}
	always := Step{Name: "always", Run: func(context.Context) error { ran = append(ran, "always"); return nil }}
	if err := Steps(t.Context(), "hop", []Step{step("a", true), step("b", false), always}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"b", "always"}; !slices.Equal(ran, want) {
		t.Errorf("ran %v, want %v", ran, want)
	}
}

func TestStepsStopsAtTheFirstError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, name := range []string{"in Done", "in Run"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := Step{Name: "first", Run: func(context.Context) error { return broken }}
			if name == "in Done" {
				first.Done = func(context.Context) (bool, error) { return false, broken }
				first.Run = func(context.Context) error { t.Error("ran a step that could not be looked at"); return nil }
			}
			second := Step{Name: "second", Run: func(context.Context) error { t.Error("ran the step after the error"); return nil }}
			if err := Steps(t.Context(), "hop", []Step{first, second}); !errors.Is(err, broken) {
				t.Errorf("got %v, want %v", err, broken)
			}
		})
	}
}

func TestStepsStopsBetweenStepsWhenCancelled(t *testing.T) {
	t.Parallel()
	cause := errors.New("timeouts.update of 1h passed")
	ctx, cancel := context.WithCancelCause(t.Context())
	first := Step{Name: "first", Run: func(context.Context) error { cancel(cause); return nil }}
	second := Step{Name: "second", Run: func(context.Context) error { t.Error("ran after the cancellation"); return nil }}
	err := Steps(ctx, "hop", []Step{first, second})
	var detached *DetachedError
	if !errors.As(err, &detached) || detached.Step != "second" || !errors.Is(err, cause) {
		t.Errorf("got %v, want a DetachedError in step second with the cause", err)
	}
}

func TestStepsTellsACancellationFromAFailure(t *testing.T) {
	t.Parallel()
	broken, cause := errors.New("broken"), errors.New("timeouts.update of 1h passed")
	for _, tt := range []struct {
		name     string
		err      error
		detached bool
	}{
		{"a request was cut off", fmt.Errorf("GET /_ping: %w", cause), true},
		{"the step failed by itself", broken, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			step := Step{Name: "step", Run: func(context.Context) error { cancel(cause); return tt.err }}
			err := Steps(ctx, "hop", []Step{step})
			var detached *DetachedError
			if errors.As(err, &detached) != tt.detached {
				t.Errorf("got %T: %v", err, err)
			}
		})
	}
}

// TestTellSaysOnceAMinuteWhatGoesOn has a step wait through an outage of a few minutes, and
// then for something that it names.
func TestTellSaysOnceAMinuteWhatGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		ctx := tflogtest.RootLogger(t.Context(), &out)
		began := time.Now()
		at := func(d time.Duration) string { return began.Add(d).Format(time.TimeOnly) }
		step := Step{Name: "verify", Run: func(ctx context.Context) error {
			pass(90 * time.Second)
			return Until(ctx, Pace{Poll: 10 * time.Second, Outage: time.Hour}, func(ctx context.Context) (bool, error) {
				switch passed := time.Since(began); {
				case passed < 200*time.Second:
					return false, errors.New("UCP did not answer")
				case passed < 260*time.Second:
					Remark(ctx, "replica 1 runs 2.5.6")
				case passed < 320*time.Second:
					Remark(ctx, "")
				default:
					return true, nil
				}
				return false, nil
			})
		}}
		if err := Steps(ctx, "hop", []Step{step}); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour) // and nothing is said any longer
		const outage = "; every attempt since %s failed; the last one: UCP did not answer"
		goesOn := "Step verify goes on, since " + at(0)
		want := []string{
			"Step verify begins", goesOn, goesOn + fmt.Sprintf(outage, at(90*time.Second)), goesOn + fmt.Sprintf(outage, at(90*time.Second)),
			goesOn + "; replica 1 runs 2.5.6", goesOn, "Step verify ended",
		}
		if got := messages(t, &out); !slices.Equal(got, want) {
			t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// messages are what was written to the log, without the lines for whoever looks for a fault.
func messages(t *testing.T, out *bytes.Buffer) []string {
	t.Helper()
	lines, err := tflogtest.MultilineJSONDecode(out)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, line := range lines {
		if line["@level"] != "debug" {
			texts = append(texts, fmt.Sprint(line["@message"]))
		}
	}
	return texts
}
