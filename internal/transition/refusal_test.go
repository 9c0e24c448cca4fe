package transition

import (
	"errors"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
)

// The whole text of every kind of refusal, as the user reads it.
func TestRefusalText(t *testing.T) {
	t.Parallel()
	tests := []struct{ from, stops, want string }{
		{"2.7.4", "2.6.8", `DTR cannot be downgraded

The cluster runs 2.7.4 and target_version is 2.6.8 (minor downgrade, not supported).

Set target_version to 2.7.4 or later. To go back, restore a backup taken with 2.6.8.`},
		{"2.6.8", "2.6.7", `DTR cannot be downgraded

The cluster runs 2.6.8 and target_version is 2.6.7 (patch downgrade, not supported).

Set target_version to 2.6.8 or later. To go back, restore a backup taken with 2.6.7.`},
		{"3.0.0", "2.9.30", `DTR cannot be downgraded

The cluster runs 3.0.0 and target_version is 2.9.30 (major downgrade, not supported).

Set target_version to 3.0.0 or later. To go back, restore a backup taken with 2.9.30.`},
		{"2.5.6", "2.6.15 2.6.8", `DTR cannot be downgraded

The cluster runs 2.5.6 and target_version is 2.6.8, by a way that leads from 2.6.15 to 2.6.8 (patch downgrade, not supported).

List the stops of via in ascending order, all of them below target_version.`},

		{"2.5.6", "2.7.8", `DTR minor versions cannot be skipped

The cluster runs 2.5.6 and target_version is 2.7.8 (minor skip, not supported).

Minor versions are upgraded one at a time; none can be skipped. Name the stops on the way:
  via = ["2.6.15"]`},
		{"2.5.6", "2.6.0 2.9.1", `DTR minor versions cannot be skipped

The cluster runs 2.5.6 and target_version is 2.9.1, by a way that leads from 2.6.0 to 2.9.1 (minor skip, not supported).

Minor versions are upgraded one at a time; none can be skipped. Name the stops on the way:
  via = ["2.6.0", "2.7.8", "2.8.13"]`},
		{"2.4.3", "2.6.0 2.7.1", `DTR minor versions cannot be skipped

The cluster runs 2.4.3 and target_version is 2.7.1, by a way that leads from 2.4.3 to 2.6.0 (minor skip, not supported).

Minor versions are upgraded one at a time; none can be skipped. Name the stops on the way:
  via = ["2.5.17", "2.6.0"]`},
		{"2.8.13", "2.12.0", `DTR minor versions cannot be skipped

The cluster runs 2.8.13 and target_version is 2.12.0 (minor skip, not supported).

Minor versions are upgraded one at a time; none can be skipped. No 2.10 release is known to this provider: name one in via, and one of every other minor version on the way.`},

		{"2.7.8", "3.0.5", `A new DTR major version starts at its first release

The cluster runs 2.7.8 and target_version is 3.0.5 (major upgrade that skips a patch version, not supported).

A major upgrade goes to the first release of the next major version. Name the stops on the way:
  via = ["3.0.0"]`},
		{"2.7.8", "3.1.0", `A new DTR major version starts at its first release

The cluster runs 2.7.8 and target_version is 3.1.0 (major upgrade that skips a minor version, not supported).

A major upgrade goes to the first release of the next major version. Name the stops on the way:
  via = ["3.0.0"]`},
		{"2.7.8", "5.0.0", `DTR major versions cannot be skipped

The cluster runs 2.7.8 and target_version is 5.0.0 (major skip, not supported).

Major versions are upgraded one at a time; none can be skipped. Name the stops on the way:
  via = ["3.0.0", "4.0.0"]`},
		{"2.7.8", "20210412.0.0", `DTR major versions cannot be skipped

The cluster runs 2.7.8 and target_version is 20210412.0.0 (major skip, not supported).

Major versions are upgraded one at a time; none can be skipped. No supported way leads there.`},

		{"2.6.0-tp9", "2.6.0", `DTR pre-releases cannot be upgraded

The cluster runs 2.6.0-tp9 and target_version is 2.6.0 (pre-release, not supported).

Nothing leads from a pre-release to another version: install a release afresh.`},
		{"2.5.17", "2.6.0-tp9", `DTR pre-releases cannot be upgraded

The cluster runs 2.5.17 and target_version is 2.6.0-tp9 (pre-release, not supported).

Upgrade to a release instead.`},

		{"2.3.0", "2.3.1", `The release notes rule out this DTR upgrade

The cluster runs 2.3.0 and target_version is 2.3.1 (release notes advisory, not supported).

DTR 2.3.0 cannot be upgraded to 2.3.1. Set target_version to 2.3.2.`},
		{"2.2.11", "2.3.0 2.3.1", `The release notes rule out this DTR upgrade

The cluster runs 2.2.11 and target_version is 2.3.1, by a way that leads from 2.3.0 to 2.3.1 (release notes advisory, not supported).

DTR 2.3.0 cannot be upgraded to 2.3.1. Go to 2.3.2 in place of 2.3.1.`},
	}
	for _, tt := range tests {
		t.Run(tt.from+" -> "+tt.stops, func(t *testing.T) {
			t.Parallel()
			_, err := known.hops(v(t, tt.from), stops(t, tt.stops))
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tt.want, refusal.Summary()+"\n\n"+refusal.Detail()); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
		})
	}
}

// A refusal without a replacement, and one that starts below a wrong first
// release, still say something true.
func TestRefusalTextByOtherReleaseData(t *testing.T) {
	t.Parallel()
	tests := []struct{ from, to, want string }{
		{"2.8.3", "2.9.4", `The cluster runs 2.8.3 and target_version is 2.9.4 (release notes advisory, not supported).

DTR 2.9.4 loses tags of 2.8. Name the stops on the way:
  via = ["2.9.3"]`},
		{"2.9.4", "3.0.0", `The cluster runs 2.9.4 and target_version is 3.0.0 (major upgrade that skips a minor version, not supported).

A major upgrade goes to the first release of the next major version. No supported way leads there.`},
	}
	c := testCatalog(t)
	for _, tt := range tests {
		t.Run(tt.from+" -> "+tt.to, func(t *testing.T) {
			t.Parallel()
			refusal := c.refuse(v(t, tt.from), v(t, tt.to))
			if diff := cmp.Diff(tt.want, refusal.Detail()); diff != "" {
				t.Errorf("detail (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusalVia(t *testing.T) {
	t.Parallel()
	tests := []struct{ from, to, want string }{
		{"2.5.6", "2.7.8", `["2.6.15"]`},
		{"2.9.30", "3.0.1", `["3.0.0"]`},
		{"2.9.30", "4.0.0", `["3.0.0"]`},
		{"2.9.30", "5.0.1", `["3.0.0", "4.0.0", "5.0.0"]`},
		{"2.9.30", "2.12.0", `[]`},
		{"2.7.4", "2.6.8", `[]`},
		{"2.3.0", "2.3.1", `[]`},
	}
	for _, tt := range tests {
		t.Run(tt.from+" -> "+tt.to, func(t *testing.T) {
			t.Parallel()
			var refusal *Refusal
			if err := known.check(v(t, tt.from), v(t, tt.to)); !errors.As(err, &refusal) {
				t.Fatalf("error %v", err)
			}
			if got := List(refusal.Via()); got != tt.want {
				t.Errorf("via %s, want %s", got, tt.want)
			}
		})
	}
}

// A refusal made by hand, as other packages' tests do, speaks from the compiled
// release data.
func TestRefusalMadeByHand(t *testing.T) {
	t.Parallel()
	refusal := &Refusal{Rule: MinorSkip, From: semver.New(2, 5, 6, "", ""), To: semver.New(2, 7, 8, "", "")}
	if got := refusal.Detail(); !strings.HasSuffix(got, `via = ["2.6.15"]`) {
		t.Errorf("detail %q", got)
	}
}
