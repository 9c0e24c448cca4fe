package transition

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// ranges is a set of numbers, written "0-3,5-17", "16-" (16 or more) or "*".
type ranges []span

type span struct{ first, last uint64 } // both included

func parseRanges(s string) (ranges, error) {
	if s == "*" {
		return ranges{{0, math.MaxUint64}}, nil
	}
	var rs ranges
	for part := range strings.SplitSeq(s, ",") {
		lowest, highest, isSpan := strings.Cut(part, "-")
		first, err := strconv.ParseUint(lowest, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("range %q: %w", s, err)
		}
		last := first
		switch {
		case isSpan && highest == "":
			last = math.MaxUint64
		case isSpan:
			if last, err = strconv.ParseUint(highest, 10, 64); err != nil {
				return nil, fmt.Errorf("range %q: %w", s, err)
			}
		}
		if last < first {
			return nil, fmt.Errorf("range %q: %d is below %d", s, last, first)
		}
		rs = append(rs, span{first, last})
	}
	return rs, nil
}

func (rs ranges) contains(n uint64) bool {
	for _, r := range rs {
		if r.first <= n && n <= r.last {
			return true
		}
	}
	return false
}

// pattern is a set of versions, a range for each number: "2.6.0-3", "2.0-4.*".
// Numbers left out at the end are any.
type pattern struct{ major, minor, patch ranges }

func parsePattern(s string) (pattern, error) {
	var p pattern
	numbers := strings.Split(s, ".")
	if len(numbers) > 3 {
		return p, fmt.Errorf("pattern %q has more than three numbers", s)
	}
	for len(numbers) < 3 {
		numbers = append(numbers, "*")
	}
	for i, set := range []*ranges{&p.major, &p.minor, &p.patch} {
		rs, err := parseRanges(numbers[i])
		if err != nil {
			return p, fmt.Errorf("pattern %q: %w", s, err)
		}
		*set = rs
	}
	return p, nil
}

func (p pattern) matches(v *semver.Version) bool {
	return p.major.contains(v.Major()) && p.minor.contains(v.Minor()) && p.patch.contains(v.Patch())
}

// UnmarshalText makes a pattern a string in the data file.
func (p *pattern) UnmarshalText(text []byte) (err error) {
	*p, err = parsePattern(string(text))
	return err
}

// patterns matches what any of its members matches.
type patterns []pattern

func (ps patterns) match(v *semver.Version) bool {
	for i := range ps {
		if ps[i].matches(v) {
			return true
		}
	}
	return false
}
