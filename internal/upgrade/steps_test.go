package upgrade

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
)

func TestRunStepsSkipsWhatIsDone(t *testing.T) {
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
	if err := runSteps(t.Context(), "hop", []Step{step("a", true), step("b", false), always}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"b", "always"}; !slices.Equal(ran, want) {
		t.Errorf("ran %v, want %v", ran, want)
	}
}

func TestRunStepsStopsAtTheFirstError(t *testing.T) {
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
			if err := runSteps(t.Context(), "hop", []Step{first, second}); !errors.Is(err, broken) {
				t.Errorf("got %v, want %v", err, broken)
			}
		})
	}
}

func TestRunStepsStopsBetweenStepsWhenCancelled(t *testing.T) {
	t.Parallel()
	cause := errors.New("timeouts.update of 1h passed")
	ctx, cancel := context.WithCancelCause(t.Context())
	first := Step{Name: "first", Run: func(context.Context) error { cancel(cause); return nil }}
	second := Step{Name: "second", Run: func(context.Context) error { t.Error("ran after the cancellation"); return nil }}
	err := runSteps(ctx, "hop", []Step{first, second})
	var detached *DetachedError
	if !errors.As(err, &detached) || detached.Step != "second" || !errors.Is(err, cause) {
		t.Errorf("got %v, want a DetachedError in step second with the cause", err)
	}
}

func TestRunStepsTellsACancellationFromAFailure(t *testing.T) {
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
			err := runSteps(ctx, "hop", []Step{step})
			var detached *DetachedError
			if errors.As(err, &detached) != tt.detached {
				t.Errorf("got %T: %v", err, err)
			}
		})
	}
}

func TestPauseGrowsToItsLongest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPause(5 * time.Second)
		var last time.Duration
		for range 30 {
			began := time.Now()
			if err := p.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			if took < last || took > 5*time.Second {
				t.Fatalf("pause of %s after one of %s", took, last)
			}
			last = took
		}
		if last != 5*time.Second {
			t.Errorf("the pause stops growing at %s", last)
		}
	})
}

func TestPauseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("over")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		if err := newPause(time.Hour).wait(ctx); !errors.Is(err, cause) {
			t.Errorf("got %v, want the context's cause", err)
		}
	})
}

func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := outage{limit: time.Minute}
		broken := errors.New("refused")
		if o.over(broken) {
			t.Error("over at the first error")
		}
		pass(59 * time.Second)
		if o.over(broken) {
			t.Error("over before the limit")
		}
		if o.over(nil) {
			t.Error("over after a good look")
		}
		pass(time.Hour)
		if o.over(broken) {
			t.Error("the outage before the good look still counts")
		}
		pass(61 * time.Second)
		if !o.over(broken) {
			t.Error("not over after the limit")
		}
	})
}

func TestProbeMeasuresTheLongestInterruption(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		down := func(from, to time.Duration) bool {
			at := time.Since(began)
			return at >= from && at < to
		}
		p := startProbe(t.Context(), time.Second, func(context.Context) error {
			if down(10*time.Second, 12*time.Second) || down(20*time.Second, 27*time.Second) {
				return errors.New("503")
			}
			return nil
		})
		pass(60*time.Second - time.Millisecond)
		got := p.end()
		if want := (availability{probes: 60, failed: 9, longest: 7 * time.Second}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestProbeCountsAnInterruptionThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := startProbe(t.Context(), time.Second, func(context.Context) error {
			if time.Since(began) >= 5*time.Second {
				return errors.New("refused")
			}
			return nil
		})
		pass(10*time.Second - time.Millisecond)
		if got := p.end(); got.longest != 5*time.Second-time.Millisecond {
			t.Errorf("longest interruption is %s", got.longest)
		}
	})
}

func TestProbeGivesUpOnAnAnswerThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := startProbe(t.Context(), time.Second, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		pass(5 * time.Second)
		if got := p.end(); got.failed < 4 || got.longest < 4*time.Second {
			t.Errorf("got %+v from an address that never answers", got)
		}
	})
}

// pass lets so much of the simulated time pass.
func pass(d time.Duration) { <-time.After(d) }

func TestMask(t *testing.T) {
	t.Parallel()
	r := &run{cluster: Cluster{Login: bootstrap.UCP{Password: "secret"}}}
	got := r.mask(bootstrap.Record{Message: "log in with secret", Fields: map[string]string{"error": "secret was refused"}})
	if text := fmt.Sprint(got); strings.Contains(text, "secret") || strings.Count(text, "***") != 2 {
		t.Error(text)
	}
}
