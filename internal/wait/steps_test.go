package wait

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
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
