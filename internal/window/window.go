// Package window decides when a maintenance window is open: a cron schedule, a
// duration and a time zone. It is pure, and must not import any of this project.
package window

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // where Terraform runs there need not be any other

	"github.com/robfig/cron/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/duration"
)

// A schedule is no finer than a minute, and a window of more than a week is open
// nearly always.
const (
	shortest = time.Minute
	longest  = 7 * 24 * time.Hour
)

// leapYear is where a schedule is first asked for its next time: the five years
// that it looks ahead then hold every day of the calendar.
var leapYear = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// Window is when bootstrappers may be started: for a duration from each time of a
// schedule on.
type Window struct {
	Wait bool // for it to open, where an upgrade is due outside of it

	text     string
	schedule cron.Schedule
	duration time.Duration
	zone     *time.Location
}

// New makes a window from a cron schedule of five fields, the duration for
// which it stays open, and the IANA name of the zone that the schedule is meant in,
// "" for UTC.
func New(schedule string, open time.Duration, zone string) (*Window, error) {
	parsed, err := parseSchedule(schedule)
	if err != nil {
		return nil, err
	}
	location, err := loadZone(zone)
	if err != nil {
		return nil, err
	}
	if err := CheckDuration(open); err != nil {
		return nil, err
	}
	return &Window{
		text:     fmt.Sprintf("%q for %s, %s", schedule, duration.Text(open), location),
		schedule: parsed, duration: open, zone: location,
	}, nil
}

// CheckSchedule says what is wrong with the schedule of a window.
func CheckSchedule(schedule string) error {
	_, err := parseSchedule(schedule)
	return err
}

// CheckDuration says what is wrong with the duration of a window.
func CheckDuration(d time.Duration) error {
	if d < shortest || d > longest {
		return fmt.Errorf("a maintenance window stays open for 1m to 168h, and not for %s", duration.Text(d))
	}
	return nil
}

// CheckZone says what is wrong with the zone of a window.
func CheckZone(zone string) error {
	_, err := loadZone(zone)
	return err
}

// fields are what a schedule is made of, and what each takes.
var fields = []struct{ name, takes string }{
	{"minute", "0 to 59"},
	{"hour", "0 to 23"},
	{"day of the month", "1 to 31"},
	{"month", "1 to 12, or JAN to DEC"},
	{"day of the week", "0 (Sunday) to 6 (Saturday), or SUN to SAT"},
}

func parseSchedule(s string) (cron.Schedule, error) {
	if strings.Contains(s, "TZ=") { // the parser takes it, and does not check all of it
		return nil, fmt.Errorf("%q names a time zone, which is an attribute of its own", s)
	}
	schedule, err := cron.ParseStandard(s)
	if err != nil {
		return nil, scheduleError(s)
	}
	if _, ok := schedule.(*cron.SpecSchedule); !ok {
		return nil, fmt.Errorf("%q is an interval; a window needs fixed times", s)
	}
	if schedule.Next(leapYear).IsZero() {
		return nil, fmt.Errorf("%q names a time that does not exist", s)
	}
	return schedule, nil
}

// scheduleError says what is wrong with a schedule that the parser refuses. The
// parser's own words do not tell the field.
func scheduleError(s string) error {
	written := strings.Fields(s)
	switch {
	case len(written) == 0:
		return errors.New(`it is empty; write minute, hour, day of the month, month and day of the week, like "0 22 * * 6"`)
	case strings.HasPrefix(written[0], "@"):
		return fmt.Errorf(`%q is not known; write @hourly, @daily, @weekly, @monthly or @yearly, or five fields like "0 22 * * 6"`, s)
	case len(written) != len(fields):
		return fmt.Errorf(`%q has %d fields; write five: minute, hour, day of the month, month and day of the week, like "0 22 * * 6"`, s, len(written))
	}
	for i, field := range fields {
		alone := []string{"*", "*", "*", "*", "*"}
		alone[i] = written[i]
		if _, err := cron.ParseStandard(strings.Join(alone, " ")); err != nil {
			return fmt.Errorf("in %q the %s is %q; it takes %s", s, field.name, written[i], field.takes)
		}
	}
	return fmt.Errorf("%q cannot be read", s) // not reached: a field is wrong by itself
}

func loadZone(name string) (*time.Location, error) {
	if name == "Local" { // differs between the machines that Terraform runs on
		return nil, errors.New(`"Local" is the zone of whichever machine runs this; write an IANA name like "Europe/Berlin"`)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf(`%q is no IANA name of one; write it like "Europe/Berlin"`, name)
	}
	return zone, nil
}

// String is the window as it was written.
func (w *Window) String() string { return w.text }

// Open reports whether the window is open at a time and, where it is not, when it
// opens next.
//
// The schedule follows local (wall-clock) time. A time that the clock skips opens
// the window right after the skip, and one that the clock shows twice opens it the
// first time. The duration is elapsed time, whatever the clock does.
func (w *Window) Open(at time.Time) (open bool, opens time.Time) {
	opens = w.after(at.Add(-w.duration))
	if opens.IsZero() || opens.After(at) {
		return false, opens
	}
	return true, time.Time{}
}

// after is the first opening after a time.
func (w *Window) after(t time.Time) time.Time {
	for shown := w.schedule.Next(clock(t.In(w.zone))); !shown.IsZero(); shown = w.schedule.Next(shown) {
		if opening := w.first(shown); opening.After(t) {
			return opening
		}
	}
	return time.Time{}
}

// clock is the wall-clock time of t, as a time in UTC, which has no clock changes.
func clock(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// first is when the clock in the window's zone first shows a time, or a later one.
func (w *Window) first(shown time.Time) time.Time {
	t := time.Date(shown.Year(), shown.Month(), shown.Day(), shown.Hour(), shown.Minute(), 0, 0, w.zone)
	since, until := t.ZoneBounds()
	switch shows := clock(t); {
	case shows.After(shown): // skipped, and t counted as before the change
		return since
	case shows.Before(shown):
		return until
	case since.IsZero():
		return t
	}
	// By the clock before the last change it may have been that time already.
	_, offset := t.Zone()
	_, before := since.Add(-1).Zone()
	if earlier := t.Add(time.Duration(offset-before) * time.Second); earlier.Before(since) {
		return earlier
	}
	return t
}
