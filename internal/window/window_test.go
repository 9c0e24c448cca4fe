package window

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func window(t testing.TB, schedule string, duration time.Duration, zone string) *Window {
	t.Helper()
	w, err := New(schedule, duration, zone)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func instant(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestWindowOpen(t *testing.T) {
	t.Parallel()
	const saturday = "0 22 * * 6" // 2020-01-04 is one
	tests := []struct {
		name     string
		schedule string
		duration time.Duration
		zone     string
		at       string
		opens    string // "" where the window is open
	}{
		{"before", saturday, 4 * time.Hour, "", "2020-01-04T21:59:59.999999999Z", "2020-01-04T22:00:00Z"},
		{"at its beginning", saturday, 4 * time.Hour, "", "2020-01-04T22:00:00Z", ""},
		{"after midnight", saturday, 4 * time.Hour, "", "2020-01-05T00:30:00Z", ""},
		{"in its last instant", saturday, 4 * time.Hour, "", "2020-01-05T01:59:59.999999999Z", ""},
		{"at its end", saturday, 4 * time.Hour, "", "2020-01-05T02:00:00Z", "2020-01-11T22:00:00Z"},
		{"in another zone than the question", saturday, 4 * time.Hour, "Europe/Berlin", "2020-01-04T16:00:00-05:00", ""},
		{"told in its own zone", saturday, 4 * time.Hour, "America/New_York", "2020-01-04T12:00:00Z", "2020-01-04T22:00:00-05:00"},
		{"descriptor", "@daily", time.Hour, "", "2020-01-04T00:59:00Z", ""},
		{"weeks away", "@yearly", time.Hour, "", "2020-01-01T01:00:00Z", "2021-01-01T00:00:00Z"},
		{"years away", "0 0 29 2 *", time.Hour, "", "2020-03-01T00:00:00Z", "2024-02-29T00:00:00Z"},
		{"longer than its period", "@daily", 36 * time.Hour, "", "2020-01-04T23:59:00Z", ""},

		// Clocks in Berlin went from 02:00 to 03:00 on 2020-03-29, and from 03:00 back
		// to 02:00 on 2020-10-25.
		{"as long over a skipped hour", "0 1 * * *", 2 * time.Hour, "Europe/Berlin", "2020-03-29T03:59:00+02:00", ""},
		{"no longer over a skipped hour", "0 1 * * *", 2 * time.Hour, "Europe/Berlin", "2020-03-29T04:00:00+02:00", "2020-03-30T01:00:00+02:00"},
		{"before a skipped opening", "30 2 * * *", time.Hour, "Europe/Berlin", "2020-03-29T01:59:00+01:00", "2020-03-29T03:00:00+02:00"},
		{"at a skipped opening", "30 2 * * *", time.Hour, "Europe/Berlin", "2020-03-29T03:00:00+02:00", ""},
		{"after a skipped opening", "30 2 * * *", time.Hour, "Europe/Berlin", "2020-03-29T04:00:00+02:00", "2020-03-30T02:30:00+02:00"},
		{"at a repeated opening", "30 2 * * *", time.Hour, "Europe/Berlin", "2020-10-25T02:30:00+02:00", ""},
		{"as long over a repeated hour", "30 2 * * *", 2 * time.Hour, "Europe/Berlin", "2020-10-25T03:29:00+01:00", ""},
		{"at the repetition of an opening", "30 2 * * *", time.Hour, "Europe/Berlin", "2020-10-25T02:30:00+01:00", "2020-10-26T02:30:00+01:00"},
		{"after the repetition of an opening", "30 2 * * *", time.Hour, "Europe/Berlin", "2020-10-25T03:15:00+01:00", "2020-10-26T02:30:00+01:00"},
		// In São Paulo midnight was skipped, and on Samoa a whole day.
		{"skipped midnight", "@daily", time.Hour, "America/Sao_Paulo", "2018-11-03T23:59:00-03:00", "2018-11-04T01:00:00-02:00"},
		{"skipped day", "0 12 30 * *", time.Hour, "Pacific/Apia", "2011-12-29T23:00:00-10:00", "2011-12-31T00:00:00+14:00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			open, opens := window(t, tt.schedule, tt.duration, tt.zone).Open(instant(tt.at))
			got := ""
			if !open {
				got = opens.Format(time.RFC3339)
			}
			if got != tt.opens {
				t.Errorf("opens at %q, want %q", got, tt.opens)
			}
		})
	}
}

// TestWindowOpensAsTheClockShows compares with a clock that is watched minute by
// minute: each time of the schedule opens the window when the clock first shows
// it, or a later time.
func TestWindowOpensAsTheClockShows(t *testing.T) {
	t.Parallel()
	changes := []string{ // of clocks, around which one looks
		"2020-03-29T01:00:00Z", "2020-10-25T01:00:00Z", "2020-03-08T07:00:00Z", "2020-11-01T06:00:00Z",
		"2018-11-04T03:00:00Z", "2020-04-04T15:00:00Z", "2020-10-03T15:30:00Z", "2011-12-30T10:00:00Z",
	}
	zones := []string{"", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata"}
	schedules := []string{"30 2 * * *", "0 * * * *", "*/20 1-3 * * *", "@daily", "15 2 * * 0", "0 0,12 * * *", "45 23 * * *"}
	rapid.Check(t, func(t *rapid.T) {
		zone := must2(time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone")))
		duration := time.Duration(rapid.IntRange(1, 600).Draw(t, "minutes")) * time.Minute
		at := instant(rapid.SampledFrom(changes).Draw(t, "change")).
			Add(time.Duration(rapid.OneOf(rapid.IntRange(-24*60, 24*60), rapid.IntRange(-120, 120)).Draw(t, "from it")) * time.Minute)
		if rapid.Bool().Draw(t, "asked at its end") {
			at = at.Add(duration)
		}
		w := must2(New(rapid.SampledFrom(schedules).Draw(t, "schedule"), duration, zone.String()))

		// The opening that the watched clock shows last.
		want := false
		highest := clock(at.Add(-duration - 26*time.Hour).In(zone))
		for now := at.Add(-duration - 26*time.Hour); !now.After(at); now = now.Add(time.Minute) {
			shown := clock(now.In(zone))
			if !shown.After(highest) {
				continue // shown before
			}
			// Does a time of the schedule lie in what the clock went on by?
			if next := w.schedule.Next(highest); !next.After(shown) && now.After(at.Add(-duration)) {
				want = true
			}
			highest = shown
		}
		open, opens := w.Open(at)
		if open != want {
			t.Fatalf("%s at %s: open %t, want %t", w, at.In(zone), open, want)
		}
		if !open {
			if again, _ := w.Open(opens); !again || !opens.After(at) {
				t.Fatalf("%s at %s: opens at %s, when it is open: %t", w, at.In(zone), opens, again)
			}
			if early, _ := w.Open(opens.Add(-time.Nanosecond)); early {
				t.Fatalf("%s at %s: open before %s", w, at.In(zone), opens)
			}
		}
	})
}

func must2[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestWindowAsText(t *testing.T) {
	t.Parallel()
	if got, want := window(t, "0 22 * * 6", 2*time.Hour, "").String(), `"0 22 * * 6" for 2h, UTC`; got != want {
		t.Errorf("the window is %s, want %s", got, want)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	const good = "0 22 * * 6"
	for name, c := range map[string]struct {
		schedule string
		duration time.Duration
		zone     string
		says     string
	}{
		"nothing":            {" ", time.Hour, "", "empty"},
		"words":              {"saturday night", time.Hour, "", `like "0 22 * * 6"`},
		"seconds":            {"0 0 22 * * 6", time.Hour, "", "has 6 fields; write five: minute, hour,"},
		"one field":          {"6", time.Hour, "", "has 1 fields"},
		"minute 60":          {"60 22 * * *", time.Hour, "", `the minute is "60"; it takes 0 to 59`},
		"hour 24":            {"0 24 * * *", time.Hour, "", `in "0 24 * * *" the hour is "24"; it takes 0 to 23`},
		"day 0":              {"0 22 0 * *", time.Hour, "", `the day of the month is "0"; it takes 1 to 31`},
		"month by its name":  {"0 22 * march *", time.Hour, "", `the month is "march"; it takes 1 to 12, or JAN to DEC`},
		"day of the week 7":  {"0 22 * * 7", time.Hour, "", `the day of the week is "7"; it takes 0 (Sunday) to 6 (Saturday), or SUN to SAT`},
		"until Sunday":       {"0 22 * * 5-7", time.Hour, "", `the day of the week is "5-7"; it takes 0 (Sunday)`},
		"step of none":       {"*/0 22 * * *", time.Hour, "", `the minute is "*/0"`},
		"no such descriptor": {"@fortnightly", time.Hour, "", `"@fortnightly" is not known; write @hourly, @daily`},
		"30 February":        {"0 0 30 2 *", time.Hour, "", "does not exist"},
		"31 April":           {"0 0 31 4 *", time.Hour, "", "does not exist"},
		"period":             {"@every 24h", time.Hour, "", "is an interval"},
		"zone in schedule":   {"CRON_TZ=Europe/Berlin 0 22 * * 6", time.Hour, "", "an attribute of its own"},
		"broken zone":        {"TZ=0", time.Hour, "", "an attribute of its own"},
		"no duration":        {good, 0, "", "not for 0s"},
		"negative duration":  {good, -time.Hour, "", "not for -1h"},
		"duration of 59s":    {good, 59 * time.Second, "", "1m to 168h"},
		"more than a week":   {good, 168*time.Hour + 1, "", "1m to 168h"},
		"unknown zone":       {good, time.Hour, "Mars/Olympus", `"Mars/Olympus" is no IANA name of one; write it like "Europe/Berlin"`},
		"zone of a machine":  {good, time.Hour, "Local", "whichever machine"},
		"zone in a file":     {good, time.Hour, "../etc/localtime", "is no IANA name"},
		"abbreviation of it": {good, time.Hour, "CEST", "is no IANA name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(c.schedule, c.duration, c.zone)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want it to say %q", err, c.says)
			}
		})
	}
}
