package upgrade

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

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
