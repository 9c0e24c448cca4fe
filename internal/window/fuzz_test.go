package window

import (
	"testing"
	"time"
)

// FuzzSchedule asks every window that is accepted when it opens: never before it is asked.
func FuzzSchedule(f *testing.F) {
	for _, seed := range []string{"0 22 * * 6", "*/5 0-4 1,15 jan-mar mon", "0 0 29 2 *", "0 0 31 2 *", "@daily", "TZ=UTC 0 0 * * *", "CRON_TZ= 0 0 * * *", "* * * * * *", "0 0 ? * 7", "1-0/0 * * * *", "", "0/99999999999 * * * *"} {
		f.Add(seed, int64(2*time.Hour), int64(1_700_000_000))
	}
	f.Fuzz(func(t *testing.T, schedule string, duration, at int64) {
		w, err := New(schedule, time.Duration(duration), "Europe/Berlin")
		if (err == nil) != (CheckSchedule(schedule) == nil && CheckDuration(time.Duration(duration)) == nil) {
			t.Fatalf("the checks do not agree with error %v", err)
		}
		if err != nil {
			return
		}
		now := time.Unix(at%(1<<33), 0)
		if open, opens := w.Open(now); !open && !opens.IsZero() && opens.Before(now) {
			t.Errorf("%q: at %s it opened at %s", schedule, now, opens)
		}
		_ = w.String()
	})
}
